#include "weights/sha256.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>
#include <vector>

#include "core/error.h"
#include "core/io/input_file.h"

namespace dalle1::weights {

Sha256::Sha256() : state_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
  check(state_ && EVP_DigestInit_ex(state_.get(), EVP_sha256(), nullptr) == 1, ErrorKind::internal,
        "OpenSSL has no SHA-256");
}

void Sha256::update(std::span<const std::byte> bytes) {
  check(EVP_DigestUpdate(state_.get(), bytes.data(), bytes.size()) == 1, ErrorKind::internal,
        "SHA-256 of {} bytes failed", bytes.size());
}

std::string Sha256::hex() {
  std::array<unsigned char, 32> digest;
  check(EVP_DigestFinal_ex(state_.get(), digest.data(), nullptr) == 1, ErrorKind::internal, "SHA-256 failed");
  std::string digits;
  for (unsigned char byte : digest) digits += fmt::format("{:02x}", byte);
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
