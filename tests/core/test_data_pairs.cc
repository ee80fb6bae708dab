// Folders, captions.jsonl and tar shards through one interface; the order of reading; broken pictures.
#include <archive.h>
#include <archive_entry.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <numeric>
#include <set>

#include "core/data/pair_reader.h"
#include "core/error.h"
#include "core/image/png.h"
#include "tests/support/golden.h"

using namespace dalle1;
namespace fs = std::filesystem;

namespace {

std::string png_of(uint8_t value) {
  const std::vector<uint8_t> bytes = encode_png(Image(2, 2, 1, value));
  return {bytes.begin(), bytes.end()};
}

void write_text(const fs::path& path, const std::string& content) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

using Members = std::vector<std::pair<std::string, std::string>>;

void write_tar(const fs::path& path, const Members& members, int format = ARCHIVE_FORMAT_TAR_USTAR) {
  archive* tar = archive_write_new();
  archive_write_set_format(tar, format);
  REQUIRE(archive_write_open_filename(tar, path.c_str()) == ARCHIVE_OK);
  for (const auto& [name, content] : members) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_size(entry, static_cast<int64_t>(content.size()));
    archive_entry_set_filetype(entry, name.ends_with('/') ? AE_IFDIR : AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    REQUIRE(archive_write_header(tar, entry) >= ARCHIVE_WARN);
    archive_write_data(tar, content.data(), content.size());
    archive_entry_free(entry);
  }
  archive_write_close(tar);
  archive_write_free(tar);
}

/// Each pair as "key|caption|grey value".
std::vector<std::string> contents(const PairSource& source, const fs::path& folder) {
  std::vector<std::string> out;
  for (uint64_t i = 0; i < source.size(); ++i) {
    const Pair pair = source.read(i);
    const std::string key = pair.key.substr(folder.string().size() + 1);
    out.push_back(fmt::format("{}|{}|{}", key, pair.caption, decode_image(pair.encoded, key).pixels[0]));
  }
  return out;
}

std::shared_ptr<const PairSource> folder_of_pictures(const fs::path& folder, int count,
                                                     const std::set<int>& broken = {}) {
  for (int i = 0; i < count; ++i) {
    write_text(folder / fmt::format("{:04}.png", i), broken.contains(i) ? "not a picture" : png_of(i % 256));
  }
  return open_picture_folder(folder);
}

}  // namespace

TEST_CASE("pairs: a folder is read in order of its paths, with captions beside the pictures") {
  const test::ScratchDir scratch;
  write_text(scratch / "b.png", png_of(2));
  write_text(scratch / "b.txt", "  a blue square\n");
  write_text(scratch / "a/z.PNG", png_of(1));
  write_text(scratch / "c.jpeg", png_of(3));
  write_text(scratch / ".hidden.png", png_of(9));
  write_text(scratch / ".cache/x.png", png_of(9));
  write_text(scratch / "notes.txt", "x");
  const auto source = open_pairs(scratch.path().string());
  CHECK(contents(*source, scratch.path()) ==
        std::vector<std::string>{"a/z.PNG||1", "b.png|a blue square|2", "c.jpeg||3"});
}

TEST_CASE("pairs: captions.jsonl") {
  const test::ScratchDir scratch;
  write_text(scratch / "pictures/0.png", png_of(5));
  write_text(scratch / "1.png", png_of(6));
  write_text(scratch / "captions.jsonl",
             "{\"image\": \"pictures/0.png\", \"caption\": \"ein Kätzchen\", \"other\": 1}\n\n"
             "{\"image\": \"1.png\", \"caption\": [\"one\", \"two\"]}\r\n");
  const std::vector<std::string> expected = {"pictures/0.png|ein Kätzchen|5", "1.png|one|6", "1.png|two|6"};
  CHECK(contents(*open_pairs(scratch.path().string()), scratch.path()) == expected);
  CHECK(contents(*open_pairs((scratch / "captions.jsonl").string()), scratch.path()) == expected);

  const auto refused = [&scratch](const char* text, const char* why) {
    write_text(scratch / "bad.jsonl", text);
    CHECK_THROWS_WITH_AS(open_pairs((scratch / "bad.jsonl").string()), doctest::Contains(why), Error);
  };
  refused("{\"image\": \"0.png\", \"caption\": \"x\"}\n{\"image\": ", "bad.jsonl, line 2: not a JSON object");
  refused("[1]\n", "line 1: not a JSON object");
  refused("{\"caption\": \"x\"}\n", "line 1: no \"image\"");
  refused("{\"image\": \"x\"}\n", "line 1: no \"caption\"");
  refused("{\"image\": \"x\", \"caption\": [3]}\n", "not a text");
  refused("{\"image\": \"x\", \"caption\": \"\xff\"}\n", "line 1: not a JSON object");
  refused("\n", "holds no pictures");
}

TEST_CASE("pairs: tar shards group members by key, in every tar format") {
  const std::string long_name(180, 'n');
  const Members first = {{"dir/", ""},
                         {"dir/000.txt", "a red cat\n"},
                         {"dir/000.png", png_of(10)},
                         {"dir/001.left.png", png_of(99)},
                         {"dir/001.png", png_of(11)},
                         {"dir/001.json", "{\"caption\": \"from json\", \"width\": 2}"},
                         {"README", "no field"},
                         {"dir/002.json", "{}"},
                         {"dir/003.cls", "7"},
                         {"dir/003.jpg", png_of(13)},
                         {long_name + ".png", png_of(14)},
                         {long_name + ".txt", "long"}};
  const Members second = {
      {"котёнок.png", png_of(20)}, {"котёнок.json", "{\"caption\": \"json\"}"}, {"котёнок.txt", "text wins"}};
  for (int format : {ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE, ARCHIVE_FORMAT_TAR_GNUTAR}) {
    CAPTURE(format);
    const test::ScratchDir scratch;
    write_tar(scratch / "s-000.tar", first, format);
    write_tar(scratch / "s-001.tar", second, format);
    const std::vector<std::string> expected = {
        "s-000.tar:dir/000.png|a red cat|10", "s-000.tar:dir/001.png|from json|11",
        "s-000.tar:dir/003.jpg||13", "s-000.tar:" + long_name + ".png|long|14",
        "s-001.tar:котёнок.png|text wins|20"};
    CHECK(contents(*open_pairs(scratch.path().string()), scratch.path()) == expected);
    CHECK(contents(*open_pairs((scratch / "s-{000..001}.tar").string()), scratch.path()) == expected);
    CHECK(open_pairs((scratch / "s-001.tar").string())->size() == 1);
  }
}

TEST_CASE("pairs: a shard that Python's tarfile wrote, with UTF-8 names in pax headers") {
  // tarfile.open(..., format=PAX_FORMAT): "ёлка.png" (grey 77), "ёлка.txt" ("a fir tree"), a key of 120
  // letters.
  const fs::path shard = test::golden("data/python_pax.tar");
  CHECK(contents(*open_pairs(shard.string()), shard.parent_path()) ==
        std::vector<std::string>{"python_pax.tar:ёлка.png|a fir tree|77",
                                 "python_pax.tar:" + std::string(120, 'k') + ".png||78"});
}

TEST_CASE("pairs: damaged and missing shards are named") {
  const test::ScratchDir scratch;
  Members members;
  for (int i = 0; i < 20; ++i)
    members.emplace_back(fmt::format("{:03}.png", i), png_of(static_cast<uint8_t>(i)));
  write_tar(scratch / "whole.tar", members);
  const auto refused = [&scratch](const std::string& name, const char* why) {
    CHECK_THROWS_WITH_AS(open_pairs((scratch / name).string()), doctest::Contains(why), Error);
  };
  fs::copy(scratch / "whole.tar", scratch / "cut.tar");
  fs::resize_file(scratch / "cut.tar", 1024 * 3 + 520);
  refused("cut.tar", "cut.tar: not an uncompressed tar file, or damaged near byte");
  write_text(scratch / "text.tar", std::string(2000, 'x'));
  refused("text.tar", "text.tar: not an uncompressed tar file");
  write_tar(scratch / "empty.tar", {});
  refused("empty.tar", "no sample with a .png");
  refused("whole-{000..002}.tar", "whole-000.tar: cannot be opened");
  refused("absent", "no such file or folder");
  refused("whole.zip", "no such file");

  const auto source = open_tar_shards({scratch / "whole.tar"});
  fs::resize_file(scratch / "whole.tar", 4096);
  CHECK(source->read(2).key.ends_with("whole.tar:002.png"));
  CHECK_THROWS_WITH_AS(source->read(19),
                       doctest::Contains("whole.tar: not an uncompressed tar file, or damaged near byte"),
                       Error);
}

TEST_CASE("pairs: brace lists") {
  CHECK(expand_braces("plain.tar") == std::vector<std::string>{"plain.tar"});
  CHECK(expand_braces("a-{08..11}.tar") ==
        std::vector<std::string>{"a-08.tar", "a-09.tar", "a-10.tar", "a-11.tar"});
  CHECK(expand_braces("{x,y}{1..2}") == std::vector<std::string>{"x1", "x2", "y1", "y2"});
  for (const char* bad : {"{1..", "{b..c}", "{3..2}", "{0..9999999}", "{0..9999}{0..9999}", "{..}"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(expand_braces(bad), Error);
  }
}

TEST_CASE("order: every epoch is another permutation, shared out without overlap") {
  for (uint64_t size : {1, 2, 3, 17, 256, 1000}) {
    CAPTURE(size);
    const SampleOrder order(size, 42);
    std::vector<std::vector<uint64_t>> epochs;
    for (int epoch = 0; epoch < 3; ++epoch) {
      std::vector<uint64_t> seen;
      for (uint64_t i = 0; i < size; ++i) seen.push_back(order.index(epoch * size + i));
      epochs.push_back(seen);
      std::sort(seen.begin(), seen.end());
      for (uint64_t i = 0; i < size; ++i) REQUIRE(seen[i] == i);
    }
    if (size >= 17) {
      CHECK(epochs[0] != epochs[1]);
      CHECK(SampleOrder(size, 43).index(0) + SampleOrder(size, 43).index(1) * size !=
            epochs[0][0] + epochs[0][1] * size);
      CHECK(!std::is_sorted(epochs[0].begin(), epochs[0].end()));
    }
  }
  std::set<uint64_t> seen;
  for (uint32_t rank = 0; rank < 3; ++rank) {
    const SampleOrder order(20, 7, true, rank, 3);
    CHECK(order.share() == 6);
    for (uint64_t i = 0; i < order.share(); ++i) CHECK(seen.insert(order.index(i)).second);
  }
  CHECK(seen.size() == 18);
  CHECK(SampleOrder(5, 1, false).index(7) == 2);
  CHECK_THROWS_AS(SampleOrder(2, 0, true, 0, 3), Error);
  CHECK_THROWS_AS(SampleOrder(9, 0, true, 3, 3), Error);
}

TEST_CASE("order: first places are uniform over seeds") {
  std::vector<int> counts(10);
  for (uint64_t seed = 0; seed < 5000; ++seed) ++counts[SampleOrder(10, seed).index(0)];
  // 500 expected, standard deviation 21.
  for (int count : counts) CHECK(std::abs(count - 500) < 110);
}

TEST_CASE("reader: resumes at a position with the same samples") {
  const test::ScratchDir scratch;
  const auto source = folder_of_pictures(scratch.path(), 11);
  PairReader reader(source, {.seed = 3});
  std::vector<std::string> keys;
  for (int i = 0; i < 30; ++i) keys.push_back(reader.next().key);
  CHECK(reader.position() == 30);
  CHECK(std::set<std::string>(keys.begin(), keys.begin() + 11).size() == 11);
  PairReader resumed(source, {.seed = 3});
  resumed.seek(17);
  for (int i = 17; i < 30; ++i) CHECK(resumed.next().key == keys[i]);
  PairReader plain(source, {.shuffle = false});
  CHECK(plain.next().image.pixels[0] == 0);
  CHECK(plain.next().image.pixels[0] == 1);
}

TEST_CASE("reader: broken pictures are skipped, counted once and named, up to the limit") {
  const test::ScratchDir scratch;
  std::vector<std::string> named;
  const auto note = [&named](const std::string& line) { named.push_back(line); };
  const auto source = folder_of_pictures(scratch.path(), 12, {4});
  PairReader reader(source, {.shuffle = false, .on_bad = note});
  CHECK(!reader.read(4).has_value());
  for (int i = 0; i < 33; ++i) CHECK(reader.next().image.width == 2);
  CHECK(reader.position() == 36);
  CHECK(reader.bad_count() == 1);
  REQUIRE(named.size() == 1);
  CHECK(named[0].find("0004.png: not a PNG or JPEG picture") != std::string::npos);

  PairReader strict(source, {.shuffle = false, .max_bad = 0});
  CHECK_THROWS_WITH_AS(strict.read(4),
                       doctest::Contains("1 of 12 pictures are broken, more than the 0 allowed"), Error);
  const test::ScratchDir worse;
  PairReader two(folder_of_pictures(worse.path(), 12, {4, 5}), {.shuffle = false});
  CHECK(!two.read(4).has_value());
  CHECK_THROWS_WITH_AS(two.read(5), doctest::Contains("0005.png"), Error);
  PairReader lenient(open_picture_folder(worse.path()), {.shuffle = false, .max_bad = 0.2});
  for (int i = 0; i < 10; ++i) lenient.next();
  CHECK(lenient.bad_count() == 2);

  const test::ScratchDir hopeless;
  PairReader all(folder_of_pictures(hopeless.path(), 2, {0, 1}), {.max_bad = 1});
  CHECK_THROWS_WITH_AS(all.next(), doctest::Contains("every picture is broken"), Error);
  CHECK_THROWS_AS(PairReader(source, {.max_bad = 1.5}), Error);
}
