// What attention takes from where a token stands: the whole sequence at once, or a cache of what came before.
// Everything else of a block is the same in training, prefill and decoding (see Block::forward).
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "core/kernels/arguments.h"
#include "core/tensor/context.h"

namespace dalle1::transformer {

/// How queries and keys turn with their position.
struct Rotations {
  Tensor table;         ///< f32 [T, D], see ops::rotary; undefined: not at all.
  bool values = false;  ///< Values turn, too.

  bool defined() const { return table.defined(); }
  Rotations rows(int64_t begin, int64_t end) const { return {table.rows(begin, end), values}; }
};

class Sequence {
 public:
  virtual ~Sequence() = default;
  /// Attention of layer `layer`: from qkv [.., 3C] (thirds q, k, v, heads contiguous in each) to [.., C].
  virtual Tensor attend(Context& context, int layer, const Tensor& qkv, DType compute) = 0;
  /// Token shift (see transformer/token_shift.h) of what residual branch `branch` begins with, [.., C]; layer
  /// l has the branches 2 l and 2 l + 1.
  virtual Tensor shift(Context& context, int branch, const Tensor& x) = 0;
};

/// Every position of B sequences at once: qkv [B, T, 3C], where T may stop short of the patterns' length.
class WholeSequence : public Sequence {
 public:
  /// `patterns`: one a layer. `rotations`: of T positions or more.
  WholeSequence(std::vector<AttentionPattern> patterns, int heads, Rotations rotations = {})
      : heads_(heads), patterns_(std::move(patterns)), rotations_(std::move(rotations)) {}
  Tensor attend(Context& context, int layer, const Tensor& qkv, DType compute) override;
  Tensor shift(Context& context, int branch, const Tensor& x) override;

 protected:
  /// Sees the qkv of a layer on its way, queries and keys turned.
  virtual void keep(Context& context, int layer, const Tensor& qkv) {}
  /// Sees what is shifted for a branch.
  virtual void keep_shifted(Context& context, int branch, const Tensor& x) {}
  const AttentionPattern& pattern(int layer) const { return patterns_[layer]; }
  int heads_;

 private:
  std::vector<AttentionPattern> patterns_;
  Rotations rotations_;
};

/// What one layer keeps of a prompt (text and forced first cells), shared by all of its candidates.
struct LayerPrefix {
  Tensor keys;       ///< [H, P, D]
  Tensor values;     ///< [H, P, D]
  Tensor newest[2];  ///< newest_cells() of its branches, [G, C / 2]; undefined without token shift.
};

/// The whole sequence of one prompt; leaves its keys and values behind.
class PrefillSequence final : public WholeSequence {
 public:
  using WholeSequence::WholeSequence;
  std::vector<LayerPrefix> take() { return std::move(layers_); }

 protected:
  void keep(Context& context, int layer, const Tensor& qkv) override;
  void keep_shifted(Context& context, int branch, const Tensor& x) override;

 private:
  LayerPrefix& of_layer(int layer);

  std::vector<LayerPrefix> layers_;
};

/// Which slot of a candidate's store holds each position's key, so that a store has only as many slots as
/// keys are ever wanted at once: a ring of grid + 1 in row layers, a band in convolutional ones, the whole
/// grid in column and dense ones. Everything follows from the pattern's sees().
class SlotPlan {
 public:
  /// Positions [begin, end) are decoded one by one; those before are the shared prefix. `retain_all` gives
  /// every position a slot of its own (the reference against which the window is tested).
  SlotPlan(const AttentionPattern& pattern, int32_t begin, int32_t end, bool retain_all = false);

  int32_t slots() const { return slots_; }
  /// The column of the grid at a decoded position.
  int32_t column(int32_t position) const { return (position - text_) % grid_; }
  /// Whether more than half of the positions have a slot at the same time.
  bool keeps_most() const { return 2 * slots_ > static_cast<int32_t>(slot_.size()); }
  /// What steps at positions `begin` and after see, in device memory, by the grid cell at `cell`; cell 0 is
  /// at position `origin`.
  DecodeSteps steps_on(Device& device, const Tensor& cell, int32_t origin) const;
  /// Where position's key goes.
  int32_t slot(int32_t position) const { return slot_[position - begin_]; }
  /// What the query at `position` sees, as rows of the prefix and as slots in order of position.
  std::span<const KeyRange> prefix(int32_t position) const;
  std::span<const int32_t> visible(int32_t position) const;

 private:
  void assign(const AttentionPattern& pattern, int32_t end, bool retain_all);

  int32_t begin_ = 0, slots_ = 0, text_ = 0, grid_ = 0;
  std::vector<int32_t> slot_;
  std::vector<KeyRange> prefix_;         // of all queries, one after the other
  std::vector<int32_t> prefix_offsets_;  // [queries + 1]
  std::vector<int32_t> visible_;
  std::vector<int32_t> visible_offsets_;
};

using SlotPlans = std::vector<std::shared_ptr<const SlotPlan>>;

/// The plan of each layer; layers of equal pattern share one.
SlotPlans plan_slots(std::span<const AttentionPattern> patterns, int32_t begin, int32_t end,
                     bool retain_all = false);

/// How keys and values are kept; automatic: like activations. e4m3 is for GPUs: 8 bits with a scale for each
/// row; the prompt's are then bf16. mixed: e4m3 in layers that keep most of the grid (column, dense), which
/// weigh most and of whose many keys each counts for little; bf16 in those that keep a window (row, conv).
enum class CacheType : uint8_t { automatic, f32, bf16, e4m3, mixed };

/// "auto", "f32", "bf16", "fp8" or "mixed"; Error(usage) for another name.
CacheType cache_type_from_name(std::string_view name);
/// What a layer of this plan keeps its keys and values in: never `mixed`.
CacheType layer_cache(CacheType type, const SlotPlan& plan);
/// How a candidate's keys and values are kept in a layer, beside activations of `dtype`; u8 stands for e4m3.
DType store_type(CacheType type, DType dtype);
/// How the keys and values of the prompt are kept, beside activations of `dtype`: on the CPU always like
/// these, since a block of candidates shares each read of them.
DType prefix_type(CacheType type, DType dtype, DeviceKind device);

/// One new position of N candidates in lockstep: qkv [groups * N, 3C], group after group. A group has a
/// prefix of its own (the prompt; with guidance also the unconditional prompt).
class CachedSequence final : public Sequence {
 public:
  /// `plans`: one a layer. `prefixes`: one a group, each with all layers; kept by the caller.
  CachedSequence(Device& device, SlotPlans plans, std::vector<std::span<const LayerPrefix>> prefixes,
                 int64_t candidates, CacheType type = CacheType::automatic);

  /// The position of the next forward pass. Work that a device recorded finds it in `cell` instead.
  void seek(int32_t position);
  /// Makes recorded passes follow `cell` i64 [1], whose grid cell 0 is at position `origin`.
  void follow(const Tensor& cell, int32_t origin);
  /// The next forward pass turns by `rotation`, of its one position.
  void turn(Rotations rotation) { rotation_ = std::move(rotation); }
  Tensor attend(Context& context, int layer, const Tensor& qkv, DType compute) override;
  /// By the position that seek() was told: recorded work has no token shift.
  Tensor shift(Context& context, int branch, const Tensor& x) override;

  /// Bytes of the private stores of all candidates.
  size_t bytes() const;
  /// Key and value rows that attention has read since the start: of the shared prefix, and of private stores.
  int64_t prefix_rows_read() const { return prefix_rows_read_; }
  int64_t private_rows_read() const { return private_rows_read_; }
  /// The same of private stores in bytes, keys and values with their scales.
  int64_t private_bytes_read() const { return private_bytes_read_; }

 private:
  struct Store {
    Tensor keys, values;              // [N, H, S, D]
    Tensor key_scales, value_scales;  // [N, H, S], e4m3 alone
    size_t bytes() const;
  };
  void start_shift(Device& device);

  SlotPlans plans_;
  std::vector<std::span<const LayerPrefix>> prefixes_;
  int64_t candidates_, heads_, head_size_;
  int32_t position_ = 0;
  Rotations rotation_;
  std::vector<Store> stores_;                              // [groups * layers]
  std::vector<Tensor> newest_;                             // [branches] of [G, groups * N, C / 2], or empty
  std::vector<std::shared_ptr<const DecodeSteps>> steps_;  // [layers], or empty
  int64_t prefix_rows_read_ = 0, private_rows_read_ = 0, private_bytes_read_ = 0;
};

}  // namespace dalle1::transformer
