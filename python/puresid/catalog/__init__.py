"""A catalogue that lives: items come and go, and a published SID never moves."""
