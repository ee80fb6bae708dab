// Byte-pair encoding's merge loop, shared by every tokenizer of this program.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "core/random/philox.h"

namespace dalle1::text {

struct Merge {
  int32_t rank;    ///< Lower merges first; equal ranks merge from the left.
  int32_t symbol;  ///< What the pair becomes.
};

/// The rules of one tokenizer: pair of symbols -> merge.
class MergeTable {
 public:
  /// Returns false, and changes nothing, if the pair has a rule.
  bool add(int32_t left, int32_t right, Merge merge);
  const Merge* find(int32_t left, int32_t right) const;
  size_t size() const { return rules_.size(); }

 private:
  struct Hash {
    size_t operator()(uint64_t pair) const { return (pair ^ pair >> 29) * 0x9E3779B97F4A7C15u >> 7; }
  };
  std::unordered_map<uint64_t, Merge, Hash> rules_;
};

/// BPE dropout (Provilkov et al. 2020, "BPE-Dropout", algorithm 1): in every round each applicable merge is
/// ignored with `probability`. The draws of text `index` are a function of (seed, index) alone.
class BpeDropout {
 public:
  BpeDropout(float probability, uint64_t seed, uint64_t index)
      : probability_(probability),
        draws_(seed, Stream::bpe_dropout, static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32)) {}
  float probability() const { return probability_; }
  bool ignore() { return probability_ > 0 && draws_.uniform() < probability_; }

 private:
  float probability_;
  RandomStream draws_;
};

/// Merges words. Holds buffers, so one object serves one thread. Time n log n in the length of the word.
class WordMerger {
 public:
  explicit WordMerger(const MergeTable& table, BpeDropout* dropout = nullptr)
      : table_(table), dropout_(dropout) {}

  /// Appends to `out` what the `word`'s symbols become when no merge applies any more (or, with dropout, when
  /// a round ignored all).
  void append(const std::vector<int32_t>& word, std::vector<int32_t>& out);

 private:
  struct Node {
    int32_t symbol;  // -1 once merged into its left neighbour
    int32_t previous, next;
  };
  struct Candidate {
    uint64_t order;       // rank, then index of the left node
    int32_t left, right;  // symbols when it was found; stale if they differ now
    int32_t symbol;
    int32_t at() const { return static_cast<int32_t>(order); }
    bool operator<(const Candidate& other) const {
      return order > other.order;
    }  // std heaps keep the greatest on top
  };
  std::optional<Candidate> candidate_at(int32_t at) const;
  void push(const Candidate& candidate);
  std::optional<Candidate> pop();
  bool stale(const Candidate& candidate) const;
  void apply(const Candidate& candidate);

  const MergeTable& table_;
  BpeDropout* dropout_;
  std::vector<Node> nodes_;
  std::vector<Candidate> heap_, ignored_;
};

}  // namespace dalle1::text
