#include <doctest/doctest.h>

#include "weights/sha256.h"

using namespace dalle1::weights;

namespace {

std::string hash(std::string_view text) { return sha256(std::as_bytes(std::span(text))); }

}  // namespace

TEST_CASE("sha256: the vectors of FIPS 180-4 and NIST's byte test suite") {
  CHECK(hash("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(hash("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(hash("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(hash("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqr"
             "smnop"
             "qrstnopqrstu") == "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
  CHECK(hash(std::string(1'000'000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("sha256: pieces of any size give the hash of the whole") {
  std::string text;
  for (int i = 0; i < 300; ++i) text += static_cast<char>(i * 7);
  for (size_t piece : {1, 3, 55, 56, 63, 64, 65, 128, 299}) {
    Sha256 pieces;
    for (size_t at = 0; at < text.size(); at += piece)
      pieces.update(std::as_bytes(std::span(text).subspan(at, std::min(piece, text.size() - at))));
    CHECK(pieces.hex() == hash(text));
  }
}
