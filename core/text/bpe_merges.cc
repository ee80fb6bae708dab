#include "core/text/bpe_merges.h"

#include <algorithm>

#include "core/error.h"

namespace dalle1::text {
namespace {

uint64_t pair_key(int32_t left, int32_t right) {
  return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
}

}  // namespace

bool MergeTable::add(int32_t left, int32_t right, Merge merge) {
  return rules_.emplace(pair_key(left, right), merge).second;
}

const Merge* MergeTable::find(int32_t left, int32_t right) const {
  const auto at = rules_.find(pair_key(left, right));
  return at == rules_.end() ? nullptr : &at->second;
}

std::optional<WordMerger::Candidate> WordMerger::candidate_at(int32_t at) const {
  if (at < 0 || nodes_[at].next < 0) return std::nullopt;
  const int32_t left = nodes_[at].symbol, right = nodes_[nodes_[at].next].symbol;
  const Merge* merge = table_.find(left, right);
  if (!merge) return std::nullopt;
  return Candidate{uint64_t{static_cast<uint32_t>(merge->rank)} << 32 | static_cast<uint32_t>(at), left,
                   right, merge->symbol};
}

void WordMerger::push(const Candidate& candidate) {
  heap_.push_back(candidate);
  std::push_heap(heap_.begin(), heap_.end());
}

bool WordMerger::stale(const Candidate& candidate) const {
  const Node& node = nodes_[candidate.at()];
  return node.symbol != candidate.left || node.next < 0 || nodes_[node.next].symbol != candidate.right;
}

// The first candidate that still applies and is not ignored in this round.
std::optional<WordMerger::Candidate> WordMerger::pop() {
  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end());
    const Candidate candidate = heap_.back();
    heap_.pop_back();
    if (stale(candidate)) continue;
    if (!dropout_ || !dropout_->ignore()) return candidate;
    ignored_.push_back(candidate);
  }
  return std::nullopt;
}

void WordMerger::apply(const Candidate& candidate) {
  Node& node = nodes_[candidate.at()];
  Node& gone = nodes_[node.next];
  node.symbol = candidate.symbol;
  gone.symbol = -1;
  node.next = gone.next;
  if (node.next >= 0) nodes_[node.next].previous = candidate.at();
  if (const auto before = candidate_at(node.previous)) push(*before);
  if (const auto after = candidate_at(candidate.at())) push(*after);
}

void WordMerger::append(const std::vector<int32_t>& word, std::vector<int32_t>& out) {
  check(word.size() < (1u << 30), ErrorKind::input, "a text of {} characters is too long", word.size());
  nodes_.clear(), heap_.clear(), ignored_.clear();
  const auto count = static_cast<int32_t>(word.size());
  for (int32_t i = 0; i < count; ++i) nodes_.push_back({word[i], i - 1, i + 1 < count ? i + 1 : -1});
  for (int32_t i = 0; i < count; ++i)
    if (const auto candidate = candidate_at(i)) heap_.push_back(*candidate);
  std::make_heap(heap_.begin(), heap_.end());
  while (const auto candidate = pop()) {
    apply(*candidate);
    for (const Candidate& again : ignored_) push(again);  // a new round
    ignored_.clear();
  }
  for (int32_t i = count > 0 ? 0 : -1; i >= 0; i = nodes_[i].next) out.push_back(nodes_[i].symbol);
}

}  // namespace dalle1::text
