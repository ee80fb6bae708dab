#include "weights/sha256.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "core/data/input_file.h"

namespace dalle1::weights {
namespace {

// The first 32 bits of the fractional parts of the cube roots of the first 64 primes (section 4.2.2).
constexpr uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

void compress(std::array<uint32_t, 8>& state, const std::byte* block) {
  uint32_t w[64];
  for (int t = 0; t < 16; ++t) {
    uint32_t word;
    std::memcpy(&word, block + 4 * t, 4);
    w[t] = __builtin_bswap32(word);
  }
  for (int t = 16; t < 64; ++t) {
    uint32_t s0 = std::rotr(w[t - 15], 7) ^ std::rotr(w[t - 15], 18) ^ (w[t - 15] >> 3);
    uint32_t s1 = std::rotr(w[t - 2], 17) ^ std::rotr(w[t - 2], 19) ^ (w[t - 2] >> 10);
    w[t] = w[t - 16] + s0 + w[t - 7] + s1;
  }
  auto [a, b, c, d, e, f, g, h] = state;
  for (int t = 0; t < 64; ++t) {
    uint32_t choose = (e & f) ^ (~e & g);
    uint32_t t1 =
        h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) + choose + round_constants[t] + w[t];
    uint32_t majority = (a & b) ^ (a & c) ^ (b & c);
    uint32_t t2 = (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + majority;
    h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
  }
  const uint32_t sum[8] = {a, b, c, d, e, f, g, h};
  for (int i = 0; i < 8; ++i) state[i] += sum[i];
}

}  // namespace

void Sha256::blocks(const std::byte* data, size_t count) {
  for (size_t i = 0; i < count; ++i) compress(state_, data + 64 * i);
}

void Sha256::update(std::span<const std::byte> bytes) {
  total_ += bytes.size();
  if (tail_size_ > 0) {
    size_t taken = std::min(bytes.size(), 64 - tail_size_);
    std::copy_n(bytes.begin(), taken, tail_.begin() + tail_size_);
    tail_size_ += taken;
    bytes = bytes.subspan(taken);
    if (tail_size_ < 64) return;
    blocks(tail_.data(), 1);
    tail_size_ = 0;
  }
  blocks(bytes.data(), bytes.size() / 64);
  auto rest = bytes.subspan(bytes.size() / 64 * 64);
  std::copy(rest.begin(), rest.end(), tail_.begin());
  tail_size_ = rest.size();
}

std::string Sha256::hex() {
  uint64_t bits = __builtin_bswap64(total_ * 8);
  tail_[tail_size_++] = std::byte{0x80};
  if (tail_size_ > 56) {
    std::fill(tail_.begin() + tail_size_, tail_.end(), std::byte{0});
    blocks(tail_.data(), 1);
    tail_size_ = 0;
  }
  std::fill(tail_.begin() + tail_size_, tail_.end(), std::byte{0});
  std::memcpy(tail_.data() + 56, &bits, 8);
  blocks(tail_.data(), 1);
  std::string digits;
  for (uint32_t word : state_) digits += fmt::format("{:08x}", word);
  return digits;
}

std::string sha256(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex();
}

// Read in pieces: a mapped file would stay in the memory of this process until the end.
std::string sha256_of_file(const std::filesystem::path& path) {
  const InputFile file(path, ErrorKind::model);
  std::vector<uint8_t> piece(1 << 20);
  Sha256 hash;
  for (uint64_t offset = 0;;) {
    const size_t got = file.read(piece, offset);
    if (got == 0) return hash.hex();
    hash.update(std::as_bytes(std::span(piece).first(got)));
    offset += got;
  }
}

}  // namespace dalle1::weights
