#include "tests/support/data_files.h"

#include <archive.h>
#include <archive_entry.h>
#include <doctest/doctest.h>

#include <fstream>

#include "core/image/png.h"

namespace dalle1::test {

std::string png_of(uint8_t value) {
  const std::vector<uint8_t> bytes = encode_png(Image(2, 2, 1, value));
  return {bytes.begin(), bytes.end()};
}

void write_text(const std::filesystem::path& path, const std::string& content) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

void write_tar(const std::filesystem::path& path, const Members& members, TarFormat format) {
  archive* tar = archive_write_new();
  archive_write_set_format(tar, format == TarFormat::pax   ? ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE
                                : format == TarFormat::gnu ? ARCHIVE_FORMAT_TAR_GNUTAR
                                                           : ARCHIVE_FORMAT_TAR_USTAR);
  REQUIRE(archive_write_open_filename(tar, path.c_str()) == ARCHIVE_OK);
  for (const auto& [name, content] : members) {
    archive_entry* entry = archive_entry_new();
    const bool link = name.ends_with('@');
    archive_entry_set_pathname(entry, link ? name.substr(0, name.size() - 1).c_str() : name.c_str());
    archive_entry_set_size(entry, link ? 0 : static_cast<int64_t>(content.size()));
    archive_entry_set_filetype(entry, link ? AE_IFLNK : name.ends_with('/') ? AE_IFDIR : AE_IFREG);
    if (link) archive_entry_set_symlink(entry, content.c_str());
    archive_entry_set_perm(entry, 0644);
    REQUIRE(archive_write_header(tar, entry) >= ARCHIVE_WARN);
    archive_write_data(tar, content.data(), content.size());
    archive_entry_free(entry);
  }
  archive_write_close(tar);
  archive_write_free(tar);
}

std::string utf16(const std::string& ascii) {
  std::string bytes = "\xff\xfe";
  for (const char c : ascii) bytes += {c, '\0'};
  return bytes;
}

}  // namespace dalle1::test
