#include "core/text/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <memory>

#include "core/error.h"

namespace dalle1::text {

bool is_gzip(std::span<const uint8_t> bytes) {
  return bytes.size() > 2 && bytes[0] == 0x1F && bytes[1] == 0x8B;
}

std::vector<uint8_t> gunzip(std::span<const uint8_t> bytes, size_t limit, const std::string& name) {
  check(bytes.size() < (size_t{1} << 31), ErrorKind::model, "{}: {} bytes of gzip are too many", name,
        bytes.size());
  z_stream stream{};
  constexpr int gzip_only = 15 + 16;  // window bits, and no other wrapping
  check(inflateInit2(&stream, gzip_only) == Z_OK, ErrorKind::internal, "zlib cannot start");
  const std::unique_ptr<z_stream, int (*)(z_stream*)> guard(&stream, inflateEnd);
  stream.next_in = const_cast<Bytef*>(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());
  std::vector<uint8_t> out;
  int status = Z_OK;
  while (status == Z_OK) {
    constexpr size_t block = 1 << 18;
    const size_t done = out.size();
    check(done < limit, ErrorKind::model, "{}: unpacks to more than {} bytes", name, limit);
    out.resize(std::min(done + block, limit));
    stream.next_out = out.data() + done;
    stream.avail_out = static_cast<uInt>(out.size() - done);
    status = inflate(&stream, Z_NO_FLUSH);
    out.resize(out.size() - stream.avail_out);
  }
  check(status == Z_STREAM_END, ErrorKind::model, "{}: damaged or incomplete gzip at byte {}", name,
        bytes.size() - stream.avail_in);
  return out;
}

}  // namespace dalle1::text
