// Folders, captions.jsonl and tar shards through one interface; the order of reading; broken pictures.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "core/data/pair_reader.h"
#include "core/error.h"
#include "tests/support/data_files.h"
#include "tests/support/golden.h"

using namespace dalle1;
namespace fs = std::filesystem;
using test::Members;
using test::png_of;
using test::write_tar;
using test::write_text;

namespace {

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
  CHECK(source->summary().without_caption == 2);
  CHECK(source->summary().left_out_line() == "2 hidden, 1 without a picture");
}

TEST_CASE("pairs: what a folder holds besides pictures and their captions is counted") {
  const test::ScratchDir scratch;
  write_text(scratch / "IMG_0.PNG", png_of(1));
  write_text(scratch / "IMG_0.TXT",
             "\xef\xbb\xbf"
             "a red square\r\n");
  write_text(scratch / "a.b.jpg", png_of(2));
  write_text(scratch / "a.b.txt", "\u00a0dotted\u3000");
  write_text(scratch / "c.png", png_of(3));
  write_text(scratch / "c.txt", "first");
  write_text(scratch / "c.Txt", "second");
  for (const char* name : {"d.webp", "e.WEBP", "f.gif", "g.HEIC", "old.tar"}) write_text(scratch / name, "x");
  fs::create_symlink("nowhere.png", scratch / "h.png");
  REQUIRE(mkfifo((scratch / "i.jpg").c_str(), 0600) == 0);
  write_text(scratch / "i.txt", "of a pipe");
  const auto source = open_picture_folder(scratch.path());
  CHECK(contents(*source, scratch.path()) ==
        std::vector<std::string>{"IMG_0.PNG|a red square|1", "a.b.jpg|dotted|2", "c.png|second|3"});
  CHECK(source->summary().left_out_line() ==
        "1 .gif, 1 .heic, 1 .tar, 2 .webp, 2 link or device, 1 repeated (the first is used), 1 without a "
        "picture");

  const test::ScratchDir webp;
  write_text(webp / "a.webp", "x");
  CHECK_THROWS_WITH_AS(open_pairs(webp.path().string()),
                       doctest::Contains("holds no .png or .jpg pictures; left out: 1 .webp"), Error);
}

TEST_CASE("pairs: captions that are no UTF-8 are refused by name, and their pictures still read") {
  const test::ScratchDir scratch;
  for (const char* name : {"a", "b", "c"}) write_text(scratch / fmt::format("{}.png", name), png_of(1));
  write_text(scratch / "a.txt", "un caf\xe9 rouge");
  write_text(scratch / "b.txt", test::utf16("red"));
  write_text(scratch / "c.txt", test::utf16("red").substr(2));  // without the mark
  const auto source = open_pairs(scratch.path().string());
  const auto refused = [&](uint64_t index, const char* why) {
    CHECK_THROWS_WITH_AS(source->read(index), doctest::Contains(why), Error);
    CHECK_NOTHROW(source->picture(index));
  };
  refused(0, "a.txt is not valid UTF-8 at byte 6 (0xe9); save it as UTF-8");
  refused(1, "b.txt: UTF-16; save it as UTF-8");
  refused(2, "c.txt: no text: byte 1 is zero, as in UTF-16");
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
  refused("{\"image\": ", "bad.jsonl, line 1, column 11: not a JSON object");
  refused("3\n", "line 1: not a JSON object");
  refused("{\"caption\": \"x\"}\n", "line 1: no \"image\"");
  refused("{\"image\": \"x\"}\n", "line 1: no \"caption\"");
  refused("{\"image\": \"x\", \"caption\": [3]}\n", "\"caption\" holds a number, not a text");
  refused("{\"image\": \"x\", \"caption\": \"\xff\"}\n", "line 1 is not valid UTF-8 at byte 27 (0xff)");
  refused("\n", "holds no pictures");
  refused("[{\"image\": \"x\",\n\"caption\": \"y\"},\n{\"image\": \"x\", \"caption\": \"y\"}\n]",
          "bad.jsonl: a JSON array; write one object a line");
  write_text(scratch / "bad.jsonl", test::utf16("{\"image\": \"x\", \"caption\": \"y\"}\n"));
  CHECK_THROWS_WITH_AS(open_pairs((scratch / "bad.jsonl").string()), doctest::Contains("line 1: UTF-16"),
                       Error);
}

TEST_CASE("pairs: a captions.jsonl as Python and its users write it") {
  const test::ScratchDir scratch;
  for (int i = 0; i < 8; ++i) write_text(scratch / fmt::format("{}.png", i), png_of(static_cast<uint8_t>(i)));
  const std::string absolute = (scratch / "2.png").string();
  write_text(
      scratch / "metadata.jsonl",
      "\xef\xbb\xbf{\"file_name\": \"0.png\", \"text\": \"  red \\n\"}\r\n"
      "{\"image\": \"1.png\", \"caption\": \"green\", \"similarity\": NaN, \"a\": [-Infinity, Infinity]}\n"
      "{\"image\": \"" +
          absolute +
          "\", \"caption\": \"says NaN\"}\n"
          "{\"image\": \"3.png\", \"caption\": []}\n"
          "{\"image\": \"4.png\", \"caption\": NaN}\n"
          "{\"image\": \"5.png\", \"caption\": null}\n"
          "{\"image\": \"6.png\", \"caption\": [\"\", \" one \", \"two\"]}\n"
          "{\"image\": \"7.png\", \"caption\": \"half \\ud83d\"}\n");
  const auto source = open_pairs(scratch.path().string());
  CHECK(source->size() == 9);
  CHECK(source->summary().samples == 9);
  CHECK(source->summary().without_caption == 3);
  std::vector<std::string> captions;
  for (uint64_t i = 0; i < 8; ++i) captions.push_back(source->caption(i));
  CHECK(captions == std::vector<std::string>{"red", "green", "says NaN", "", "", "", "one", "two"});
  CHECK(source->read(2).key == absolute);
  CHECK(source->read(7).key.ends_with("6.png"));
  CHECK_THROWS_WITH_AS(source->read(8),
                       doctest::Contains("metadata.jsonl, line 8, column 37: the escape "
                                         "\\ud83d is half of a pair"),
                       Error);
  CHECK_THROWS_WITH_AS(source->picture(8), doctest::Contains("line 8"), Error);
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
  for (const auto format : {test::TarFormat::pax, test::TarFormat::gnu}) {
    CAPTURE(static_cast<int>(format));
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

TEST_CASE("pairs: a shard as people pack it") {
  const test::ScratchDir scratch;
  const Members members = {{"./._a.jpg", "junk"},
                           {"./a.JPG", png_of(1)},
                           {"./._a.txt", "junk"},
                           {"./b.jpg", png_of(2)},
                           {"./c.jpg", png_of(3)},
                           {"./a.TXT",
                            "\xef\xbb\xbf"
                            "red\n"},  // after the others
                           {"./b.txt", "green"},
                           {"./b.txt", "again"},
                           {"./c.Json", "{\"score\": NaN, \"caption\": [\" blue\", \"azure\"]}"},
                           {"./d.webp", "x"},
                           {"./d.txt", "of a webp"},
                           {"./e.txt", "of nothing"},
                           {"./f.png", png_of(4)},
                           {"./f.json", "{\"caption\": 7}"},
                           {"./g.png", png_of(5)},
                           {"./g.json", "{\"caption\": []}"},
                           {".cache/h.png", png_of(6)},
                           {"i.png@", "a.jpg"}};
  write_tar(scratch / "0.TAR", members);
  write_text(scratch / "loose.png", png_of(9));
  write_text(scratch / "1.tar.gz", "x");
  const auto source = open_pairs(scratch.path().string());
  REQUIRE(source->size() == 6);
  std::vector<std::string> captions;
  for (const uint64_t i : {0, 1, 2, 3, 5}) captions.push_back(source->read(i).caption);
  CHECK(captions == std::vector<std::string>{"red", "green", "blue", "azure", ""});
  CHECK(source->picture(2).encoded == source->picture(3).encoded);
  CHECK_THROWS_WITH_AS(source->read(4), doctest::Contains("0.TAR:./f.json: \"caption\" holds a number"),
                       Error);
  CHECK(source->summary().without_caption == 1);
  CHECK(source->summary().left_out_line() ==
        "1 .gz beside the shards, 1 .png beside the shards, 1 .webp, 3 hidden, 1 link or device, "
        "1 repeated (the first is used), 1 without a picture");
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
  REQUIRE(mkfifo((scratch / "pipe.tar").c_str(), 0600) == 0);
  refused("pipe.tar", "pipe.tar: not a regular file");
  REQUIRE(mkfifo((scratch / "pipe.jsonl").c_str(), 0600) == 0);
  refused("pipe.jsonl", "not a regular file");
  for (const char* name : {"0.tar", "a/0.tar.gz", "b/0.TGZ", "0.jsonl", "0.jsonl.gz"}) {
    write_text(scratch / name, std::string("\x1f\x8b\x08\0\0", 5) + std::string(600, 'x'));
    refused(name, ": compressed with gzip; gunzip it");
  }
  refused("a", "a/0.tar.gz: compressed with gzip; gunzip it");
  write_text(scratch / "z.tar", "\x28\xb5\x2f\xfd" + std::string(600, 'x'));
  refused("z.tar", "z.tar: compressed with Zstandard; unzstd it");
  for (const char* name : {"lfs.tar", "lfs.jsonl"}) {
    write_text(scratch / name, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n");
    refused(name, ": no data, but a Git LFS pointer (git lfs pull brings the file itself)");
  }
  write_text(scratch / "page.jsonl", "<!DOCTYPE html>\n<html></html>\n");
  refused("page.jsonl", "page.jsonl: no data, but an HTML page");
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

TEST_CASE("reader: a caption that is missing or no text breaks its sample where captions count") {
  const test::ScratchDir scratch;
  folder_of_pictures(scratch.path(), 4);
  write_text(scratch / "0000.txt", "red");
  write_text(scratch / "0001.txt", "caf\xe9");
  write_text(scratch / "0002.txt", " \n");
  const std::shared_ptr<const PairSource> source = open_picture_folder(scratch.path());
  const auto good = [&](Captions captions, std::vector<std::string>& named) {
    PairReader reader(source, {.shuffle = false,
                               .captions = captions,
                               .max_bad = 1,
                               .on_bad = [&](const std::string& line) { named.push_back(line); }});
    std::vector<bool> found;
    for (uint64_t i = 0; i < 4; ++i) found.push_back(reader.read(i).has_value());
    return found;
  };
  std::vector<std::string> ignored, optional, required;
  CHECK(good(Captions::ignored, ignored) == std::vector<bool>{true, true, true, true});
  CHECK(good(Captions::optional, optional) == std::vector<bool>{true, false, true, true});
  CHECK(good(Captions::required, required) == std::vector<bool>{true, false, false, false});
  CHECK(optional.at(0).find("0001.txt is not valid UTF-8 at byte 3") != std::string::npos);
  CHECK(required.at(2).ends_with("0003.png: the picture has no caption"));
  PairReader reader(source, {.shuffle = false, .max_bad = 1});
  CHECK(reader.read_caption(0) == "red");
  CHECK(reader.read_caption(1) == std::nullopt);
  CHECK(reader.read_caption(3) == "");
  CHECK(reader.bad_count() == 1);
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
                       doctest::Contains("1 of 12 samples are broken, more than the 0 allowed"), Error);
  const test::ScratchDir worse;
  PairReader two(folder_of_pictures(worse.path(), 12, {4, 5}), {.shuffle = false});
  CHECK(!two.read(4).has_value());
  CHECK_THROWS_WITH_AS(two.read(5), doctest::Contains("0005.png"), Error);
  PairReader lenient(open_picture_folder(worse.path()), {.shuffle = false, .max_bad = 0.2});
  for (int i = 0; i < 10; ++i) lenient.next();
  CHECK(lenient.bad_count() == 2);

  const test::ScratchDir hopeless;
  PairReader all(folder_of_pictures(hopeless.path(), 2, {0, 1}), {.max_bad = 1});
  CHECK_THROWS_WITH_AS(all.next(), doctest::Contains("every sample is broken"), Error);
  CHECK_THROWS_AS(PairReader(source, {.max_bad = 1.5}), Error);
}
