"""RQVAE keeps its best epoch, repeats itself, and goes on where it was stopped."""

import numpy as np
import pytest

import puresid
from puresid.quantizers import rqvae_history, rqvae_training
from rqvae_cases import clustered, rewrite, same, small

torch = pytest.importorskip("torch", reason="torch is not installed: RQVAE trains with it")


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return clustered()


# --- which epoch is kept --------------------------------------------------------------------------


def epoch(number: int, distortion: float, conflict_rate: float) -> puresid.quantizers.RQVAEEpoch:
    return puresid.quantizers.RQVAEEpoch(
        epoch=number,
        reconstruction_loss=1.0,
        commitment=1.0,
        distortion=distortion,
        latent_distortion=1.0,
        conflict_rate=conflict_rate,
        utilisation=(1.0,),
        restarts=0,
        score=distortion + conflict_rate,
    )


def test_the_best_of_a_history():
    history = [epoch(1, 0.5, 0.4), epoch(2, 0.6, 0.1), epoch(3, 0.6, 0.1), epoch(4, 0.4, 0.4)]
    assert rqvae_history.best_of(history, "score").epoch == 2
    assert rqvae_history.best_of(history, "distortion").epoch == 4
    assert rqvae_history.best_of(history, "conflict_rate").epoch == 2


def test_the_best_epoch_is_kept_where_later_ones_are_worse(vectors, monkeypatch):
    """From epoch 4 on, steps so large that they ruin the weights."""
    run_epoch = rqvae_training.run_epoch

    def ruinous(model, rows, number, torch):
        if number >= 4:
            for group in model.optimizer.param_groups:
                group["lr"] = 0.5
        return run_epoch(model, rows, number, torch)

    monkeypatch.setattr(rqvae_training, "run_epoch", ruinous)
    model = small(epochs=6).fit(vectors)
    monkeypatch.undo()
    assert min(epoch.score for epoch in model.history[3:]) > 1.1 * model.best_epoch.score
    three = small(epochs=3).fit(vectors)
    assert model.best_epoch == three.best_epoch
    assert model.codebooks == three.codebooks
    np.testing.assert_array_equal(model.encode(vectors), three.encode(vectors))
    measured = np.square(vectors - model.decode(model.encode(vectors)).astype(np.float64)).sum(1)
    assert measured.mean() == pytest.approx(model.best_epoch.distortion, rel=1e-6)


@pytest.mark.parametrize("selection", ["score", "distortion", "conflict_rate"])
def test_what_is_kept_is_what_was_asked_for(vectors, selection):
    model = small(selection=selection, epochs=8).fit(vectors)
    values = [getattr(one, selection) for one in model.history]
    assert model.best_epoch.epoch == 1 + int(np.argmin(values))
    sids = model.encode(vectors)
    assert model.best_epoch.conflict_rate == 1 - len(np.unique(sids, axis=0)) / len(sids)


def test_when_it_stalls():
    falling = [epoch(n, 1 / n, 0.5) for n in range(1, 10)]
    assert not rqvae_history.stalled(falling, 2, 1e-3)
    flat = [epoch(1, 1, 1), epoch(2, 0.5, 1), epoch(3, 0.4999, 1), epoch(4, 0.6, 1)]
    assert rqvae_history.stalled(flat, 2, 1e-3)
    assert not rqvae_history.stalled(flat, 3, 1e-3)
    assert not rqvae_history.stalled(flat, 2, 1e-5)
    assert not rqvae_history.stalled(flat, None, 1e-3)
    fewer_conflicts = [*flat, epoch(5, 0.6, 0.9)]
    assert not rqvae_history.stalled(fewer_conflicts, 1, 1e-3)
    assert not rqvae_history.stalled([], 1, 0)


def test_it_stops_early(vectors):
    model = small(epochs=50, lr=1e-9, patience=3, restart_dead=False, decay=0.999).fit(vectors)
    assert len(model.history) < 50
    assert rqvae_history.stalled(model.history, 3, 1e-3)
    assert not rqvae_history.stalled(model.history[:-1], 3, 1e-3)


# --- the same again -------------------------------------------------------------------------------


def test_the_same_again(vectors):
    first = small(random_state=3).fit(vectors)
    assert same(small(random_state=3).fit(vectors), first, vectors)
    again = small(random_state=3).fit(vectors)
    assert same(again.fit(vectors), first, vectors)


def test_another_seed_is_another_answer(vectors):
    one, other = (small(random_state=seed, epochs=1).fit(vectors) for seed in (0, 2**64 - 1))
    assert one.codebooks != other.codebooks


def test_an_epoch_takes_every_row_once_in_an_order_of_its_own(vectors, monkeypatch):
    step, batches = rqvae_training.Model.step, []

    def seen(model, rows):
        batches.append(rows.copy())
        return step(model, rows)

    monkeypatch.setattr(rqvae_training.Model, "step", seen)
    small(epochs=2).fit(vectors)
    assert [len(rows) for rows in batches] == ([64] * 9 + [24]) * 2
    first, second = np.concatenate(batches[:10]), np.concatenate(batches[10:])
    assert not np.array_equal(first, second)
    for rows in (first, second):
        np.testing.assert_array_equal(np.unique(rows, axis=0), np.unique(vectors, axis=0))


def test_generators_and_threads_of_the_process_stay_as_they_are(vectors):
    before, generator = torch.get_num_threads(), torch.random.get_rng_state()
    plain = small(epochs=1).fit(vectors)
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 (the one that users may have seeded)
    torch.random.set_rng_state(generator)
    assert same(small(epochs=1).fit(vectors), plain, vectors)
    assert torch.get_num_threads() == before
    assert torch.equal(torch.random.get_rng_state(), generator)


# --- checkpoints ----------------------------------------------------------------------------------


@pytest.mark.parametrize("codebook", ["ema", "gradient"])
@pytest.mark.parametrize("shared", [False, True])
def test_an_interrupted_fit_goes_on_to_the_same_end(
    vectors, tmp_path, monkeypatch, codebook, shared
):
    options = {"codebook": codebook, "shared_codebook": shared, "kmeans_init": not shared}
    whole = small(epochs=7, checkpoint=tmp_path / "whole", **options).fit(vectors)
    path = tmp_path / "cut"
    run_epoch, ran = rqvae_training.run_epoch, []

    def cut(model, rows, number, torch):
        ran.append(number)
        if number == 6:
            raise KeyboardInterrupt
        return run_epoch(model, rows, number, torch)

    monkeypatch.setattr(rqvae_training, "run_epoch", cut)
    model = small(epochs=7, checkpoint=path, checkpoint_every=2, **options)
    with pytest.raises(KeyboardInterrupt):
        model.fit(vectors)
    monkeypatch.setattr(
        rqvae_training,
        "run_epoch",
        lambda *arguments: ran.append(arguments[2]) or run_epoch(*arguments),
    )
    model.fit(vectors)
    assert ran == [1, 2, 3, 4, 5, 6, 5, 6, 7]
    assert same(model, whole, vectors)
    assert same(small(epochs=7, **options).fit(vectors), whole, vectors)
    assert path.read_bytes() == (tmp_path / "whole").read_bytes()


def test_more_epochs_than_before(vectors, tmp_path):
    path = tmp_path / "fit"
    small(epochs=3, checkpoint=path).fit(vectors)
    longer = small(epochs=6, checkpoint=str(path)).fit(vectors)
    assert same(longer, small(epochs=6).fit(vectors), vectors)


def test_a_finished_fit_is_not_run_again(vectors, tmp_path, monkeypatch):
    path = tmp_path / "fit"
    first = small(checkpoint=path).fit(vectors)
    monkeypatch.setattr(rqvae_training, "run_epoch", None)
    assert same(small(checkpoint=path).fit(vectors), first, vectors)


def test_a_stalled_fit_is_not_run_again(vectors, tmp_path, monkeypatch):
    path = tmp_path / "fit"
    options = {"epochs": 50, "lr": 1e-9, "patience": 2, "restart_dead": False, "checkpoint": path}
    first = small(**options).fit(vectors)
    assert len(first.history) < 50
    monkeypatch.setattr(rqvae_training, "run_epoch", None)
    assert same(small(**options).fit(vectors), first, vectors)


def test_checkpoints_that_do_not_fit(vectors, tmp_path):
    path = tmp_path / "fit"
    small(epochs=2, checkpoint=path).fit(vectors)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"fit: .*other settings.*lr=0.01, not 0.005.*remove it"):
        small(epochs=2, checkpoint=path, lr=0.01).fit(vectors)
    with pytest.raises(ValueError, match=r"other vectors"):
        small(epochs=2, checkpoint=path).fit(vectors[:-1])
    with pytest.raises(ValueError, match=r"2 epochs; epochs is 1"):
        small(epochs=1, checkpoint=path).fit(vectors)
    assert path.read_bytes() == before
    path.write_bytes(before[:-1])
    with pytest.raises(ValueError, match=r"fit is not an intact safetensors file"):
        small(epochs=2, checkpoint=path).fit(vectors)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d, t: d.pop("settings"), "settings are None"),
        (lambda d, t: d.update(history=[]), r"history is \[\]"),
        (lambda d, t: d["history"][0].pop("score"), "history has .*score.* are needed"),
        (lambda d, t: t.pop("model_adam_0_step"), "lacks adam_0_step"),
        (lambda d, t: t.update(model_adam_1_exp_avg=np.zeros(3)), "lacks adam_1_exp_avg of shape"),
        (lambda d, t: t.pop("model_book_0"), r"lacks book_0 of shape \(16, 6\)"),
        (lambda d, t: t.update(model_sums_1=np.zeros(3)), "lacks sums_1"),
        (lambda d, t: t.pop("best_codebook_1"), "incomplete.*codebook_1"),
        (lambda d, t: d.pop("best"), "incomplete"),
    ],
)
def test_checkpoints_that_lack_something(vectors, tmp_path, change, words):
    path = tmp_path / "fit"
    small(epochs=2, checkpoint=path).fit(vectors)
    rewrite(path, change)
    with pytest.raises(ValueError, match=rf"fit: .*{words}"):
        small(epochs=3, checkpoint=path).fit(vectors)
