// Files in and out: what stands in their place, text as editors save it, and folders that are held.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <thread>

#include "core/io/atomic_file.h"
#include "core/io/file_bytes.h"
#include "core/io/folder_lock.h"
#include "core/io/mapped_file.h"
#include "core/io/text_file.h"
#include "tests/support/golden.h"

using namespace dalle1;
using test::ScratchDir;
namespace fs = std::filesystem;

namespace {

std::string content(const fs::path& path) {
  const auto bytes = read_file(path, 1 << 20);
  return {bytes.begin(), bytes.end()};
}

std::vector<std::string> lines_of(const fs::path& path) {
  TextLines lines(path);
  std::vector<std::string> all;
  for (std::string line; lines.next(line);) all.push_back(line);
  return all;
}

void make_socket(const fs::path& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  const int end = socket(AF_UNIX, SOCK_STREAM, 0);
  REQUIRE(bind(end, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  close(end);
}

size_t files_in(const fs::path& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

void check_output_error(const fs::path& path, const char* part) {
  try {
    write_file_atomically(path, "x");
    FAIL("written: ", path.string());
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::output);
    CHECK_MESSAGE(std::string(error.what()).find(part) != std::string::npos, error.what());
  }
}

}  // namespace

TEST_CASE("atomic file: a link stays a link, and the file that it names is replaced or made") {
  ScratchDir scratch;
  fs::create_directory(scratch / "there");
  write_file_atomically(scratch / "there/file", "old");
  fs::create_symlink("there/file", scratch / "link");
  fs::create_symlink(scratch / "link", scratch / "link to link");
  fs::create_symlink("there/made", scratch / "dangling");
  write_file_atomically(scratch / "link to link", "new");
  write_file_atomically(scratch / "dangling", "made");
  CHECK(content(scratch / "there/file") == "new");
  CHECK(content(scratch / "there/made") == "made");
  for (const char* name : {"link", "link to link", "dangling"}) CHECK(fs::is_symlink(scratch / name));
  CHECK(files_in(scratch / "there") == 2);

  {
    AtomicFile dropped(scratch / "link");
    dropped.write("never committed");
  }
  CHECK(content(scratch / "link") == "new");
  CHECK(files_in(scratch / "there") == 2);
}

TEST_CASE("atomic file: a pipe and a device keep their kind and get the bytes") {
  ScratchDir scratch;
  REQUIRE(mkfifo((scratch / "pipe").c_str(), 0600) == 0);
  fs::create_symlink("pipe", scratch / "link");
  for (const char* name : {"pipe", "link"}) {
    std::string got;
    std::thread reader([&] {
      std::ifstream pipe(scratch / "pipe", std::ios::binary);
      got.assign(std::istreambuf_iterator<char>(pipe), {});
    });
    write_file_atomically(scratch / name, std::string(100'000, 'x'));
    reader.join();
    CHECK(got.size() == 100'000);
  }
  CHECK(fs::is_fifo(scratch / "pipe"));
  CHECK(fs::is_symlink(scratch / "link"));
  CHECK(files_in(scratch.path()) == 2);

  fs::create_symlink("/dev/full", scratch / "full");
  check_output_error(scratch / "full", "No space left");
  CHECK(fs::is_character_file("/dev/full"));
}

TEST_CASE("atomic file: what cannot be a file is refused before anything is written") {
  ScratchDir scratch;
  fs::create_symlink("b", scratch / "a");
  fs::create_symlink("a", scratch / "b");
  check_output_error(scratch / "a", "symbolic links");
  fs::create_directory(scratch / "folder");
  check_output_error(scratch / "folder", "is a folder");
  make_socket(scratch / "socket");
  check_output_error(scratch / "socket", "is a socket");
  check_output_error(scratch / "none/file", "No such file");
  check_output_error(scratch / std::string(256, 'n'), "name too long");
  CHECK(files_in(scratch.path()) == 4);
  // The temporary name is longer than the file's own, which may be as long as names are.
  write_file_atomically(scratch / std::string(255, 'n'), "long");
  CHECK(content(scratch / std::string(255, 'n')) == "long");
}

TEST_CASE("input: nothing but regular files, and no waiting") {
  ScratchDir scratch;
  REQUIRE(mkfifo((scratch / "pipe").c_str(), 0600) == 0);
  make_socket(scratch / "socket");
  write_file_atomically(scratch / "file", "text");
  fs::create_symlink("file", scratch / "link");
  fs::create_symlink("pipe", scratch / "link to pipe");
  CHECK(content(scratch / "link") == "text");
  for (const fs::path& path : {scratch / "pipe", scratch / "socket", scratch / "link to pipe", scratch.path(),
                               fs::path("/dev/zero"), fs::path("/dev/null")}) {
    CAPTURE(path.string());
    const auto refusal = doctest::Contains("not a regular file");
    CHECK_THROWS_WITH_AS(read_file(path, 100), refusal, Error);
    CHECK_THROWS_WITH_AS(MappedFile{path}, refusal, Error);
    CHECK_THROWS_WITH_AS(TextLines{path}, refusal, Error);
    CHECK_THROWS_WITH_AS(read_text(path), refusal, Error);
  }
  CHECK_THROWS_WITH_AS(read_file(scratch / "absent", 100), doctest::Contains("No such file"), Error);
  // Files of /proc have no size, but content.
  CHECK(content("/proc/self/comm").back() == '\n');
}

TEST_CASE("text files: marks, ends of lines, and what is no UTF-8") {
  using namespace std::string_literals;
  ScratchDir scratch;
  const auto file = scratch / "text";
  const auto lines = [&](const std::string& bytes) {
    std::ofstream(file, std::ios::binary) << bytes;
    return lines_of(file);
  };
  using Lines = std::vector<std::string>;
  CHECK(lines("").empty());
  CHECK(lines("\xEF\xBB\xBF").empty());
  CHECK(lines("a\nb\n") == Lines{"a", "b"});
  CHECK(lines("a\n\nb") == Lines{"a", "", "b"});
  CHECK(lines("\xEF\xBB\xBF"s + "a\r\nb\r\n") == Lines{"a", "b"});
  CHECK(lines("a\rb\r") == Lines{"a\rb"});
  CHECK(lines("a\n\xEF\xBB\xBF"s + "b") == Lines{"a", "\xEF\xBB\xBF"s + "b"});  // a mark only at the start
  const std::string long_line(200'000, 'x');
  CHECK(lines(long_line + "\n" + long_line) == Lines{long_line, long_line});
  CHECK_THROWS_WITH_AS(lines("\xFF\xFE"
                             "a\0\n\0"s),
                       doctest::Contains("text is UTF-16; save it as UTF-8"), Error);
  CHECK_THROWS_WITH_AS(lines("\xFE\xFF\0a\0\n"s), doctest::Contains("is UTF-16"), Error);
  CHECK_THROWS_WITH_AS(lines("\xFF\xFE\0\0a\0\0\0"s), doctest::Contains("is UTF-32"), Error);
  CHECK_THROWS_WITH_AS(lines("\0\0\xFE\xFF\0\0\0a"s), doctest::Contains("is UTF-32"), Error);
  CHECK_THROWS_WITH_AS(lines("one\nt\0w\0o\0"s), doctest::Contains("text line 2 has a NUL byte"), Error);

  std::ofstream(file, std::ios::binary) << "\xEF\xBB\xBF"
                                           "one\ntwo\r\nthree";
  CHECK(read_text(file) == "one\ntwo\r\nthree");
  TextLines reader(file);
  std::string line;
  REQUIRE(reader.next(line));
  CHECK(reader.offset() == 7);
  REQUIRE(reader.next(line));
  CHECK(reader.ended());
  TextLines later(file, reader.offset());
  REQUIRE(later.next(line));
  CHECK(line == "three");
  CHECK_FALSE(later.ended());
}

TEST_CASE("a folder is held by one run at a time, leaves no file and frees itself") {
  ScratchDir scratch;
  {
    const FolderLock lock(scratch.path());
    CHECK(lock.held());
    CHECK_THROWS_WITH_AS(FolderLock(scratch.path()), doctest::Contains("another run uses"), Error);
    fs::create_directory_symlink(scratch.path(), scratch / "itself");
    CHECK_THROWS_AS(FolderLock(scratch / "itself"), Error);
    fs::remove(scratch / "itself");
    CHECK(fs::is_empty(scratch.path()));
  }
  CHECK(FolderLock(scratch.path()).held());
  CHECK_THROWS_WITH_AS(FolderLock(scratch / "none"), doctest::Contains("No such file"), Error);
}
