// Small checkpoint files made by hand, valid and not.
#pragma once

#include <doctest/doctest.h>
#include <zlib.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "core/error.h"
#include "tests/support/golden.h"

namespace dalle1::test {

inline bool has(const std::string& text, const std::string& part) {
  CAPTURE(text);
  return text.find(part) != std::string::npos;
}

/// The message with which `action` refuses; it must be one line of ErrorKind::model.
template <typename Action>
std::string refusal_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::model);
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
    return error.what();
  }
  return "accepted";
}

inline std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

template <typename T>
std::string le(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(T));
}

/// A member of a hand-made zip; the fields that lie can be set.
struct Member {
  std::string name, content;
  uint16_t flags = 0, method = 0;
  bool streamed = false;        // sizes in a descriptor, as PyTorch writes
  int64_t claimed_size = -1;    // in both headers
  std::string local_name = {};  // empty: name
  int64_t claimed_packed = -1;  // in the directory
};

/// A raw deflate stream, as a zip member of method 8 has it.
inline std::string deflated(const std::string& content) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string packed(deflateBound(&stream, content.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

inline std::string zip_of(const std::vector<Member>& members, const std::string& comment = "") {
  std::string file, directory;
  for (const Member& m : members) {
    const auto crc = static_cast<uint32_t>(
        crc32(0, reinterpret_cast<const Bytef*>(m.content.data()), static_cast<uInt>(m.content.size())));
    const auto size = static_cast<uint32_t>(m.claimed_size < 0 ? m.content.size() : m.claimed_size);
    const std::string data = m.method == 8 ? deflated(m.content) : m.content;
    const auto packed = m.method == 8 ? static_cast<uint32_t>(data.size()) : size;
    const auto listed = m.claimed_packed < 0 ? packed : static_cast<uint32_t>(m.claimed_packed);
    const auto flags = static_cast<uint16_t>(m.flags | (m.streamed ? 8 : 0));
    const std::string local = m.local_name.empty() ? m.name : m.local_name;
    const std::string sizes = le(crc) + le(packed) + le(size);
    const auto offset = static_cast<uint32_t>(file.size());
    file += "PK\3\4" + le<uint16_t>(20) + le(flags) + le(m.method) + le<uint32_t>(0) +
            (m.streamed ? std::string(12, '\0') : sizes) + le(static_cast<uint16_t>(local.size())) +
            le<uint16_t>(0) + local + data;
    if (m.streamed) file += "PK\7\10" + sizes;
    directory += "PK\1\2" + le<uint16_t>(20) + le<uint16_t>(20) + le(flags) + le(m.method) + le<uint32_t>(0) +
                 le(crc) + le(listed) + le(size) + le(static_cast<uint16_t>(m.name.size())) +
                 std::string(12, '\0') + le(offset) + m.name;
  }
  const auto count = static_cast<uint16_t>(members.size());
  return file + directory + "PK\5\6" + std::string(4, '\0') + le(count) + le(count) +
         le(static_cast<uint32_t>(directory.size())) + le(static_cast<uint32_t>(file.size())) +
         le(static_cast<uint16_t>(comment.size())) + comment;
}

// Pieces of pickles (protocol 2).
inline std::string text(const std::string& s) { return "X" + le(static_cast<uint32_t>(s.size())) + s; }
inline std::string whole(int32_t value) { return "J" + le(value); }
inline std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline std::string tuple(const std::vector<int32_t>& values) {
  std::string out = "(";
  for (int32_t value : values) out += whole(value);
  return out + "t";
}
inline std::string storage(const std::string& type, const std::string& key, int32_t numel) {
  return "(" + text("storage") + global("torch", type) + text(key) + text("cpu") + whole(numel) + "tQ";
}
inline std::string tensor(const std::string& stored, int32_t offset, const std::vector<int32_t>& shape,
                          const std::vector<int32_t>& strides) {
  return global("torch._utils", "_rebuild_tensor_v2") + "(" + stored + whole(offset) + tuple(shape) +
         tuple(strides) + "\x89Nt" + "R";
}
/// A dict from names to pickled values, as a whole pickle.
inline std::string dict_pickle(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string out = "\x80\2}(";
  for (auto& [name, value] : entries) out += text(name) + value;
  return out + "u.";
}
inline std::string torch_zip(const std::string& pickle,
                             const std::vector<std::pair<std::string, std::string>>& data) {
  std::vector<Member> members = {{"m/data.pkl", pickle}};
  for (auto& [key, content] : data) members.push_back({"m/data/" + key, content});
  members.push_back({"m/version", "3\n"});
  return zip_of(members);
}

}  // namespace dalle1::test
