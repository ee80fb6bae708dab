// .npy files: what NumPy wrote, round trips, and damage.
#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "core/data/npy.h"
#include "core/io/file_bytes.h"
#include "tests/support/golden.h"

using namespace dalle1;
using dalle1::test::golden;

namespace {

std::vector<uint8_t> file_with_header(std::string header, size_t data_bytes) {
  std::vector<uint8_t> bytes = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};
  bytes.push_back(static_cast<uint8_t>(header.size()));
  bytes.push_back(static_cast<uint8_t>(header.size() >> 8));
  bytes.insert(bytes.end(), header.begin(), header.end());
  bytes.resize(bytes.size() + data_bytes);
  return bytes;
}

}  // namespace

TEST_CASE("npy: arrays that NumPy wrote") {
  const NpyArray loss = read_npy(golden("npy/f32_1.npy"));
  CHECK(loss.shape == std::vector<int64_t>{1});
  CHECK(loss.values<float>()[0] == 5.6100969314575195f);

  const NpyArray ids = read_npy(golden("npy/i64_2x10.npy"));
  CHECK(ids.shape == std::vector<int64_t>{2, 10});
  CHECK(ids.values<int64_t>()[1] == 39);
  CHECK(ids.values<int64_t>()[10] == 28);
  CHECK(ids.to_i64()[19] == 1);

  const NpyArray mask = read_npy(golden("npy/u8_22x22.npy"));
  int64_t ones = 0;
  for (int64_t value : mask.to_i64()) ones += value;
  CHECK(ones == 187);

  const std::vector<float> halves = read_npy(golden("npy/f16_2x3.npy")).to_f32();
  CHECK(halves == std::vector<float>{0, 1.5f, -2, 65504, 0x1p-24f, INFINITY});

  const NpyArray scalar = read_npy(golden("npy/bool_scalar.npy"));
  CHECK(scalar.shape.empty());
  CHECK(scalar.values<bool>()[0]);

  CHECK(read_npy(golden("npy/f64_2x0x3.npy")).count() == 0);
  CHECK_THROWS_WITH_AS(read_npy(golden("npy/i32_fortran.npy")), doctest::Contains("Fortran order"), Error);
}

TEST_CASE("npy: what is written is what NumPy would write, and reads back") {
  for (const char* name :
       {"npy/i64_2x10.npy", "npy/f32_1.npy", "npy/f16_2x3.npy", "npy/bool_scalar.npy", "npy/f64_2x0x3.npy"}) {
    CAPTURE(name);
    const test::ScratchDir scratch;
    const NpyArray array = read_npy(golden(name));
    write_npy(scratch / "copy.npy", array.dtype, array.shape, std::as_bytes(std::span(array.bytes)));
    CHECK(read_file(scratch / "copy.npy", 1 << 20) == read_file(golden(name), 1 << 20));
  }
  const test::ScratchDir scratch;
  write_npy(scratch / "f.npy", {2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6});
  const NpyArray back = read_npy(scratch / "f.npy");
  CHECK(back.shape == std::vector<int64_t>{2, 3});
  CHECK(back.values<float>()[5] == 6.0f);
  CHECK_THROWS_AS(write_npy(scratch / "f.npy", {2, 2}, std::vector<float>{1}), Error);
  CHECK_THROWS_WITH_AS(back.values<int64_t>(), doctest::Contains("holds f32, i64 is needed"), Error);
}

TEST_CASE("npy: damage is refused with one line that names the file") {
  const auto refused = [](const std::vector<uint8_t>& bytes, const char* why) {
    CAPTURE(why);
    try {
      decode_npy(bytes, "tokens.npy");
      FAIL("accepted");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::input);
      CHECK(std::string(error.what()).starts_with("tokens.npy: "));
      CHECK(std::string(error.what()).find(why) != std::string::npos);
    }
  };
  const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
  CHECK(decode_npy(file_with_header(good, 8), "x").count() == 2);
  refused({}, "not a .npy file");
  refused({'P', 'K', 3, 4, 0, 0, 0, 0, 0, 0, 0, 0}, "not a .npy file");
  refused(file_with_header(good, 7), "7 bytes of data after byte 67, the header says 2 elements of 4 bytes");
  refused(file_with_header(good, 9), "9 bytes of data");
  refused(file_with_header("{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }", 8), "'>f4'");
  refused(file_with_header("{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", 8), "'|O'");
  refused(file_with_header("{'descr': '<f4', 'shape': (2,), }", 8), "damaged .npy header");
  refused(file_with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }", 8),
          "damaged .npy header");
  refused(file_with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (2,) } x", 8),
          "damaged .npy header");
  refused(
      file_with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", 8),
      "too many");
  refused(file_with_header("{'descr': '|b1', 'fortran_order': False, 'shape': (), }", 0), "0 bytes of data");
  std::vector<uint8_t> odd = file_with_header("{'descr': '|b1', 'fortran_order': False, 'shape': (), }", 1);
  odd.back() = 2;
  refused(odd, "neither 0 nor 1");

  const std::vector<uint8_t> whole = read_file(golden("npy/i64_2x10.npy"), 1 << 20);
  for (size_t length = 0; length < whole.size(); ++length) {
    refused({whole.begin(), whole.begin() + static_cast<long>(length)}, "");
  }
}
