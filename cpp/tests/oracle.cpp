// assign() against its twin on as many instances as are asked for: `puresid_oracle tiny|medium FIRST COUNT`.
//
// An instance is a function of its number alone: values, space, method and options go by turns and by chance, threads
// and instruction set too. Prints one line of counts; each difference goes to stderr, and the exit status is then 1.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "random.hpp"

namespace {

namespace reference = puresid::reference;
using puresid::Scaling;
using puresid::Space;
using puresid::SpaceKind;
using puresid::testing::Random;
using puresid::testing::Shape;
using puresid::testing::Values;

struct Counts {
  std::size_t instances = 0, lattices = 0, items = 0, conflicts = 0, refused = 0, differences = 0;
};

// Half of them residual, as most catalogues are.
constexpr std::array kSpaces = {Space{}, Space{SpaceKind::tree},
                                Space{}, Space{SpaceKind::product},
                                Space{}, Space{SpaceKind::residual, Scaling::compared},
                                Space{}, Space{SpaceKind::residual, Scaling::kept}};

Values values_of(std::size_t number, const Space& space) {
  // Half of them full of ties.
  if (number % 2 == 0) return Values::lattice;
  const Values values = puresid::testing::kAllValues[1 + number / 16 % 4];
  // Codewords of 2^40 are refused where residuals are scaled for good.
  return space.scaling == Scaling::kept && values == Values::spread ? Values::gaussian : values;
}

Shape medium_shape(Random& random) {
  const std::size_t rows = random.between(100, 400);
  return {random.between(2, 4), random.between(4, 10), random.between(2, 12), rows, random.between(1, rows)};
}

// Where there are more items than room: most of them are cut to a load of exactly 1, some need not be served, and some
// stay to be refused.
void fit(std::size_t number, reference::Input& input) {
  std::size_t capacity = 1;
  for (std::size_t level = 0; level < input.levels.size(); ++level) capacity *= reference::spaced(input).size(level);
  const bool searched = input.method == reference::Method::ecm || input.method == reference::Method::rrs;
  if (!searched || !input.complete || input.vectors.size() + input.taken.size() <= capacity || number % 8 == 0) return;
  if (input.taken.size() >= capacity) input.taken.clear();
  if (number % 8 == 1) {
    input.complete = false;
    return;
  }
  input.vectors.resize(std::min(input.vectors.size(), capacity - input.taken.size()));
  if (!input.priority.empty()) input.priority.resize(input.vectors.size());
}

reference::Input instance(std::size_t number, bool medium) {
  Random random(number);
  Shape shape = medium ? medium_shape(random) : puresid::testing::random_shape(random);
  shape.space = kSpaces[number / 2 % kSpaces.size()];
  reference::Input input = puresid::testing::random_input(random, values_of(number, shape.space), shape);
  fit(number / 16, input);
  return input;
}

void compare(std::size_t number, bool medium, Counts& counts) {
  const reference::Input input = instance(number, medium);
  ++counts.instances;
  counts.items += input.vectors.size();
  if (values_of(number, input.space) == Values::lattice) ++counts.lattices;
  std::optional<reference::Output> expected, actual;
  std::string found;
  try {
    expected = reference::assign(input);
    counts.conflicts += static_cast<std::size_t>(
        std::count_if(expected->stages.begin(), expected->stages.end(), [](int stage) { return stage != 0; }));
  } catch (const puresid::CapacityError&) {
    ++counts.refused;
  }
  try {
    actual = puresid::testing::run_core(input, puresid::testing::execution_number(number), number % 3 == 0);
    found = expected ? puresid::testing::difference(*expected, *actual) : "the core found room where there is none";
  } catch (const puresid::CapacityError&) {
    if (expected) found = "the core found no room";
  } catch (const std::exception& error) {
    found = error.what();
  }
  if (found.empty()) return;
  ++counts.differences;
  static_cast<void>(std::fprintf(stderr, "instance %zu: %s\n", number, found.c_str()));
}

bool parse(const std::string& text, std::size_t& number) {
  return std::from_chars(text.data(), text.data() + text.size(), number).ec == std::errc();
}

int run(const std::vector<std::string>& arguments) {
  const std::string kind = arguments.size() == 3 ? arguments[0] : "";
  std::size_t first = 0, count = 0;
  if ((kind != "tiny" && kind != "medium") || !parse(arguments[1], first) || !parse(arguments[2], count)) {
    static_cast<void>(std::fprintf(stderr, "usage: puresid_oracle tiny|medium FIRST COUNT\n"));
    return 2;
  }
  Counts counts;
  for (std::size_t number = first; number < first + count; ++number) compare(number, kind == "medium", counts);
  std::printf("instances=%zu lattices=%zu items=%zu conflicts=%zu refused=%zu differences=%zu\n", counts.instances,
              counts.lattices, counts.items, counts.conflicts, counts.refused, counts.differences);
  return counts.differences == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {  // NOLINT(misc-const-correctness): the signature is the standard's
  try {
    return run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    static_cast<void>(std::fprintf(stderr, "%s\n", error.what()));
    return 3;
  }
}
