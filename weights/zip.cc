#include "weights/zip.h"

#include <zlib.h>

#include <algorithm>

#include "weights/small_json.h"

namespace dalle1::weights {
namespace {

constexpr uint32_t local_signature = 0x04034b50, central_signature = 0x02014b50, end_signature = 0x06054b50;
constexpr uint32_t end64_signature = 0x06064b50, locator64_signature = 0x07064b50,
                   descriptor_signature = 0x08074b50;
constexpr uint64_t local_size = 30, central_size = 46, end_size = 22, end64_size = 56, locator64_size = 20;
constexpr uint32_t in_extra = 0xffffffff;  // the value is in the zip64 extra field
constexpr uint16_t flag_encrypted = 1, flag_descriptor = 8;
constexpr uint16_t stored = 0, deflated = 8;
constexpr uint64_t most_members = 100'000;

/// The values of a zip64 extra field, in the order in which the fields that refer to it come.
class Zip64Extra {
 public:
  Zip64Extra(const FileBytes& file, uint64_t begin, uint64_t size) : file_(file) {
    const uint64_t end = begin + size;
    while (end - begin >= 4) {
      auto id = file.integer<uint16_t>(begin, "a zip extra field");
      uint64_t length = file.integer<uint16_t>(begin + 2, "a zip extra field");
      begin += 4;
      check(length <= end - begin, ErrorKind::model,
            "{}: a zip extra field at byte {} is longer than its record", file.name, begin);
      if (id == 1) next_ = begin, end_ = begin + length;
      begin += length;
    }
  }
  uint64_t resolve(uint32_t value) {
    if (value != in_extra) return value;
    check(end_ - next_ >= 8, ErrorKind::model, "{}: a 64-bit size is missing near byte {}", file_.name,
          next_);
    next_ += 8;
    return file_.integer<uint64_t>(next_ - 8, "a zip64 extra field");
  }

 private:
  const FileBytes& file_;
  uint64_t next_ = 0, end_ = 0;
};

bool is_safe_name(std::string_view name) {
  if (name.empty() || name.front() == '/' || name.find('\\') != name.npos || name.find('\0') != name.npos)
    return false;
  for (size_t at = 0; at <= name.size();) {
    size_t slash = std::min(name.find('/', at), name.size());
    std::string_view part = name.substr(at, slash - at);
    if (part.empty() || part == "." || part == "..") return false;
    at = slash + 1;
  }
  return true;
}

/// TorchScript deflates its program text and debug records; nothing here ever reads them.
bool may_be_deflated(std::string_view name) {
  return name.find("/code/") != name.npos || name.ends_with(".debug_pkl");
}

}  // namespace

ZipArchive::ZipArchive(FileBytes file) : file_(std::move(file)) {
  Directory directory = find_directory();
  check(directory.entries <= most_members, ErrorKind::model, "{}: {} zip members; the limit is {}",
        file_.name, directory.entries, most_members);
  file_.at(directory.offset, directory.size, "the zip directory");
  check(directory.entries <= directory.size / central_size, ErrorKind::model,
        "{}: the zip directory at byte {} is too small for {} members", file_.name, directory.offset,
        directory.entries);
  members_.reserve(directory.entries);
  uint64_t position = directory.offset;
  const uint64_t end = directory.offset + directory.size;
  for (uint64_t i = 0; i < directory.entries; ++i) position = read_entry(position, end);
  check(position == end, ErrorKind::model, "{}: the zip directory ends at byte {}, not {}", file_.name,
        position, end);
  check_no_overlap(directory.offset);
  std::sort(members_.begin(), members_.end(),
            [](const ZipMember& a, const ZipMember& b) { return a.name < b.name; });
  for (size_t i = 1; i < members_.size(); ++i)
    check(members_[i].name != members_[i - 1].name, ErrorKind::model, "{}: zip member '{}' is there twice",
          file_.name, printable(members_[i].name));
}

ZipArchive::Directory ZipArchive::find_directory() const {
  const std::string_view what = "the zip end record";
  file_.at(0, end_size, what);
  // An archive comment may follow the record; a writer of checkpoints leaves none, but the format allows
  // 65535 bytes.
  const uint64_t last = file_.size() - end_size;
  const uint64_t first = last - std::min<uint64_t>(last, 0xffff);
  uint64_t at = last + 1;
  while (at-- > first)
    if (file_.integer<uint32_t>(at, what) == end_signature &&
        file_.integer<uint16_t>(at + 20, what) == file_.size() - at - end_size)
      break;
  check(at + 1 > first, ErrorKind::model, "{}: a zip archive without its end record; it is cut short",
        file_.name);
  check(file_.integer<uint32_t>(at + 4, what) == 0, ErrorKind::model,
        "{}: a zip archive of several disks (byte {})", file_.name, at + 4);
  Directory directory{file_.integer<uint32_t>(at + 16, what), file_.integer<uint32_t>(at + 12, what),
                      file_.integer<uint16_t>(at + 10, what)};
  uint64_t directory_end = at;
  const bool wide = directory.offset == in_extra || directory.size == in_extra || directory.entries == 0xffff;
  if (at >= locator64_size && file_.integer<uint32_t>(at - locator64_size, what) == locator64_signature) {
    uint64_t end64 = file_.integer<uint64_t>(at - locator64_size + 8, what);
    file_.at(end64, end64_size, "the zip64 end record");
    check(
        file_.integer<uint32_t>(end64, what) == end64_signature && end64 + end64_size == at - locator64_size,
        ErrorKind::model, "{}: no zip64 end record at byte {}", file_.name, end64);
    Directory directory64{file_.integer<uint64_t>(end64 + 48, what),
                          file_.integer<uint64_t>(end64 + 40, what),
                          file_.integer<uint64_t>(end64 + 32, what)};
    auto agrees = [](uint64_t narrow, uint64_t limit, uint64_t value) {
      return narrow == limit || narrow == value;
    };
    check(agrees(directory.offset, in_extra, directory64.offset) &&
              agrees(directory.size, in_extra, directory64.size) &&
              agrees(directory.entries, 0xffff, directory64.entries),
          ErrorKind::model, "{}: the two zip end records disagree (bytes {} and {})", file_.name, end64, at);
    directory = directory64;
    directory_end = end64;
  } else {
    check(!wide, ErrorKind::model, "{}: no zip64 end record before byte {}", file_.name, at);
  }
  check(directory.size <= directory_end && directory.offset == directory_end - directory.size,
        ErrorKind::model, "{}: the zip directory of {} bytes at byte {} does not end at byte {}", file_.name,
        directory.size, directory.offset, directory_end);
  return directory;
}

uint64_t ZipArchive::read_entry(uint64_t position, uint64_t end) {
  const std::string_view what = "a zip directory entry";
  check(position <= end && end - position >= central_size &&
            file_.integer<uint32_t>(position, what) == central_signature,
        ErrorKind::model, "{}: no zip directory entry at byte {}", file_.name, position);
  auto flags = file_.integer<uint16_t>(position + 8, what);
  uint64_t name_size = file_.integer<uint16_t>(position + 28, what);
  uint64_t extra_size = file_.integer<uint16_t>(position + 30, what);
  uint64_t size = central_size + name_size + extra_size + file_.integer<uint16_t>(position + 32, what);
  check(size <= end - position, ErrorKind::model,
        "{}: the zip directory entry at byte {} reaches beyond byte {}", file_.name, position, end);
  ZipMember member;
  member.name = text_of(file_.at(position + central_size, name_size, what));
  member.method = file_.integer<uint16_t>(position + 10, what);
  member.crc = file_.integer<uint32_t>(position + 16, what);
  Zip64Extra extra(file_, position + central_size + name_size, extra_size);
  member.size = extra.resolve(file_.integer<uint32_t>(position + 24, what));
  member.packed = extra.resolve(file_.integer<uint32_t>(position + 20, what));
  member.header = extra.resolve(file_.integer<uint32_t>(position + 42, what));
  const std::string shown = printable(member.name);
  check(is_safe_name(member.name), ErrorKind::model, "{}: zip member name '{}' at byte {} is not allowed",
        file_.name, shown, position + central_size);
  check((flags & flag_encrypted) == 0, ErrorKind::model, "{}: zip member '{}' is encrypted (byte {})",
        file_.name, shown, position);
  check(member.method == stored ? member.packed == member.size
                                : member.method == deflated && may_be_deflated(member.name),
        ErrorKind::model,
        "{}: zip member '{}' is compressed (byte {}); PyTorch stores weights as they are: if it is a "
        "checkpoint "
        "packed into an archive, unpack it first",
        file_.name, shown, position);
  check_local_header(member, flags);
  members_.push_back(member);
  return position + size;
}

void ZipArchive::check_local_header(ZipMember& member, uint16_t flags) const {
  const std::string shown = printable(member.name);
  const std::string what = "the header of zip member '" + shown + "'";
  file_.at(member.header, local_size, what);
  const uint64_t at = member.header;
  uint64_t name_size = file_.integer<uint16_t>(at + 26, what),
           extra_size = file_.integer<uint16_t>(at + 28, what);
  const uint64_t name_at = at + local_size;
  member.data = name_at + name_size + extra_size;
  bool same = file_.integer<uint32_t>(at, what) == local_signature &&
              file_.integer<uint16_t>(at + 6, what) == flags &&
              file_.integer<uint16_t>(at + 8, what) == member.method &&
              text_of(file_.at(name_at, name_size, what)) == member.name;
  file_.at(name_at + name_size, extra_size, what);
  file_.at(member.data, member.packed, "zip member '" + shown + "'");
  member.end = member.data + member.packed;
  auto crc = file_.integer<uint32_t>(at + 14, what);
  Zip64Extra extra(file_, name_at + name_size, extra_size);
  uint64_t size = extra.resolve(file_.integer<uint32_t>(at + 22, what));
  uint64_t packed_size = extra.resolve(file_.integer<uint32_t>(at + 18, what));
  // A writer that streams leaves the sizes zero and says them in a descriptor after the data.
  const bool streamed = (flags & flag_descriptor) != 0;
  if (streamed) check_descriptor(member);
  bool blank = streamed && crc == 0 && size == 0 && packed_size == 0;
  same = same && (blank || (crc == member.crc && size == member.size && packed_size == member.packed));
  check(same, ErrorKind::model, "{}: {} at byte {} disagrees with the zip directory", file_.name, what, at);
}

void ZipArchive::check_descriptor(ZipMember& member) const {
  const std::string what = "the descriptor of zip member '" + printable(member.name) + "'";
  const uint64_t at = member.end;
  bool same = file_.integer<uint32_t>(at, what) == descriptor_signature &&
              file_.integer<uint32_t>(at + 4, what) == member.crc;
  auto sizes_equal = [&]<typename T>(T) {
    return file_.size() - at >= 8 + 2 * sizeof(T) && file_.integer<T>(at + 8, what) == member.packed &&
           file_.integer<T>(at + 8 + sizeof(T), what) == member.size;
  };
  // The 64-bit form has a zero where the 32-bit form's second size would be, so at most one matches unless
  // empty.
  const bool narrow = sizes_equal(uint32_t{}), wide = sizes_equal(uint64_t{});
  check(same && (narrow || wide), ErrorKind::model, "{}: {} at byte {} disagrees with the zip directory",
        file_.name, what, at);
  member.end = at + (narrow ? 16 : 24);
}

void ZipArchive::check_no_overlap(uint64_t directory) const {
  std::vector<const ZipMember*> order;
  order.reserve(members_.size());
  for (const ZipMember& member : members_) order.push_back(&member);
  std::sort(order.begin(), order.end(),
            [](const ZipMember* a, const ZipMember* b) { return a->header < b->header; });
  for (size_t i = 0; i < order.size(); ++i) {
    uint64_t limit = i + 1 < order.size() ? order[i + 1]->header : directory;
    check(order[i]->end <= limit, ErrorKind::model, "{}: zip member '{}' overlaps what follows it at byte {}",
          file_.name, printable(order[i]->name), limit);
  }
}

const ZipMember* ZipArchive::find(std::string_view name) const {
  auto found = std::lower_bound(members_.begin(), members_.end(), name,
                                [](const ZipMember& member, std::string_view n) { return member.name < n; });
  return found != members_.end() && found->name == name ? &*found : nullptr;
}

std::span<const std::byte> ZipArchive::read(const ZipMember& member) const {
  check(member.method == stored, ErrorKind::model,
        "{}: zip member '{}' at byte {} is compressed; PyTorch stores weights as they are", file_.name,
        printable(member.name), member.data);
  auto bytes = file_.bytes.subspan(member.data, member.size);
  uLong crc = crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
  check(crc == member.crc, ErrorKind::model,
        "{}: the checksum of zip member '{}' at byte {} is wrong; the file is damaged", file_.name,
        printable(member.name), member.data);
  return bytes;
}

}  // namespace dalle1::weights
