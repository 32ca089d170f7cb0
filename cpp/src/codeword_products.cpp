#include "puresid/codeword_products.hpp"

#include <algorithm>

namespace puresid {

CodewordProducts::CodewordProducts(const PackedCodebooks& codebooks, std::size_t most_bytes) : codebooks_(codebooks) {
  std::size_t end = 0;
  if (!codebooks.space().additive()) return;
  for (std::size_t level = 0; level < codebooks.levels(); ++level) {
    if (level > 0) end += codebooks[level].padded_size();
    ends_.push_back(end);
    first_ids_.push_back(codewords_);
    if (level + 1 < codebooks.levels()) codewords_ += codebooks[level].size();
  }
  if (codewords_ == 0) return;
  stride_ = end;
  slots_ = std::min(codewords_, std::max<std::size_t>(1, most_bytes / (stride_ * sizeof(float))));
  states_ = std::vector<std::atomic<std::uint64_t>>(slots_);
  products_ = Pages<float>(checked_multiply(slots_, stride_));
}

const float* CodewordProducts::find_row(std::size_t from, Token token, std::size_t to, float* scratch) const {
  const std::size_t id = first_ids_[from] + token;
  std::size_t slot = id;
  if (slots_ < codewords_) slot = static_cast<std::size_t>((id * 0x9E3779B97F4A7C15U >> 32U) * slots_ >> 32U);
  float* kept = products_.data() + slot * stride_;
  std::atomic<std::uint64_t>& state = states_[slot];
  const std::uint64_t made = 2 * (std::uint64_t{id} + 1);
  std::uint64_t found = state.load(std::memory_order_acquire);
  const float* codeword = codebooks_[from].codeword(token);
  if (found == 0 && state.compare_exchange_strong(found, made - 1, std::memory_order_acq_rel)) {
    for (std::size_t level = from + 1; level < codebooks_.levels(); ++level) {
      codebooks_[level].negated_products(codeword, 1, kept + offset(from, level));
    }
    state.store(made, std::memory_order_release);
    found = made;
  }
  if (found == made) return kept + offset(from, to);
  codebooks_[to].negated_products(codeword, 1, scratch);
  return scratch;
}

}  // namespace puresid
