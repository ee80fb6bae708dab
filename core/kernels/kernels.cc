// Kernels that are compositions of others, for devices that have nothing faster.
#include "core/kernels/kernels.h"

namespace dalle1 {
namespace {

// Third `part` of the rows of qkv [.., 3 H D] in another shape.
Tensor third_of(const Tensor& qkv, int64_t part, const Shape& shape) {
  Tensor third = Tensor::empty(qkv.device(), shape, qkv.dtype());
  const int64_t width = qkv.dim(-1) / 3, rows = qkv.numel() / (3 * width);
  qkv.kernels().strided_copy({{rows, width}, {3 * width, 1}, {width, 1}, part * width}, qkv, third);
  return third;
}

void put_third(const Tensor& third, int64_t part, Tensor& qkv) {
  const int64_t width = qkv.dim(-1) / 3, rows = qkv.numel() / (3 * width);
  qkv.kernels().strided_copy({{rows, width}, {width, 1}, {3 * width, 1}, 0, part * width}, third, qkv);
}

// [B, T, H, D] of a third, by the heads of logsumexp [B, H, T].
Shape heads_of(const Tensor& qkv, const Tensor& logsumexp) {
  const int64_t heads = logsumexp.dim(1);
  return {qkv.dim(0), qkv.dim(1), heads, qkv.dim(2) / 3 / heads};
}

}  // namespace

void Kernels::linear_fused(const LinearArguments& a, const LinearEpilogue& epilogue) {
  linear(a);
  if (epilogue.activation) unary(*epilogue.activation, a.y, a.y);
  if (epilogue.residual) binary(Binary::add, *epilogue.residual, a.y, a.y);
}

void Kernels::training_linear(const LinearArguments& a, DType compute) {
  matmul(a.x, a.w, {.transpose_b = true, .compute = compute}, a.y);
  if (a.bias) binary(Binary::add, a.y, *a.bias, a.y);
}

Int8Weights Kernels::pack_int8(const Tensor&, const Tensor&) {
  fail(ErrorKind::usage, "weights in int8 are for the CPU; use f32 or bf16, or the device cpu");
}

void Kernels::int8_linear(const Tensor&, const Int8Weights&, const Tensor*, Tensor&) {
  fail(ErrorKind::internal, "int8_linear: this device packs no weights in int8");
}

void Kernels::self_attention(const SelfAttentionArguments& a) {
  const Shape shape = heads_of(a.qkv, a.logsumexp);
  Tensor rows = a.y.view(shape);
  attention({third_of(a.qkv, 0, shape), third_of(a.qkv, 1, shape), third_of(a.qkv, 2, shape), a.options, rows,
             a.logsumexp});
}

void Kernels::self_attention_backward(const SelfAttentionBackward& a) {
  const Shape shape = heads_of(a.qkv, a.logsumexp);
  const auto empty = [&] { return Tensor::empty(a.qkv.device(), shape, a.qkv.dtype()); };
  Tensor dq = empty(), dk = empty(), dv = empty();
  attention_backward({third_of(a.qkv, 0, shape), third_of(a.qkv, 1, shape), third_of(a.qkv, 2, shape),
                      a.y.view(shape), a.logsumexp, a.dy.view(shape), a.options, dq, dk, dv});
  put_third(dq, 0, a.dqkv);
  put_third(dk, 1, a.dqkv);
  put_third(dv, 2, a.dqkv);
}

void Kernels::attend_step(const StepArguments& a) {
  const Tensor q = third_of(a.qkv, 0, a.y.shape());
  Tensor keys = *a.cache.keys, values = *a.cache.values;
  cache_store(third_of(a.qkv, 1, a.y.shape()), a.slot, keys);
  cache_store(third_of(a.qkv, 2, a.y.shape()), a.slot, values);
  cached_attention(q, a.cache, a.scale, a.y);
}

void Kernels::advance(Tensor& cell) {
  const int64_t next = cell.to_ints()[0] + 1;
  cell.device().copy_from_host(cell.raw(), &next, sizeof next);
}

void Kernels::sample_cell(const Tensor& logits, const Tensor& own, const CellSampling& sampling) {
  Device& device = logits.device();
  const int64_t cell = sampling.cell.to_ints()[0], count = own.dim(0);
  const int64_t forced = sampling.forced.rows(cell, cell + 1).to_ints()[0];
  std::vector<int64_t> tokens(count, forced);
  std::vector<float> log_probs(count);
  if (forced < 0) {
    std::vector<uint32_t> candidates(count);
    device.copy_to_host(candidates.data(), sampling.candidates.raw(), candidates.size() * sizeof(uint32_t));
    const bool same = own.id() == logits.id();
    sample({logits, sampling.rule, sampling.seed, candidates, static_cast<uint32_t>(cell), tokens,
            same ? std::span(log_probs) : std::span<float>()});
  }
  if (forced >= 0 || own.id() != logits.id()) {
    const Tensor targets = Tensor::from(device, {count}, tokens);
    Tensor losses = Tensor::empty(device, {count}), logsumexp = Tensor::empty(device, {count});
    cross_entropy(own, targets, losses, logsumexp);
    log_probs = losses.to_floats();
    for (float& value : log_probs) value = -value;
  }
  const auto put = [&](const Tensor& target, const auto& values) {
    device.copy_from_host(target.raw(), values.data(), target.bytes());
  };
  put(sampling.tokens.rows(cell, cell + 1), tokens);
  put(sampling.log_probs.rows(cell, cell + 1), log_probs);
  for (int64_t begin = 0; begin < sampling.newest.numel(); begin += count)
    put(sampling.newest.rows(begin, begin + count), tokens);
}

}  // namespace dalle1
