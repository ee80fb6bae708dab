#include "tests/weights/files.h"
#include "weights/import.h"
#include "weights/open.h"
#include "weights/torch_file.h"
#include "weights/zip.h"

using namespace dalle1;
using namespace dalle1::test;
using namespace dalle1::weights;

namespace {

std::string refusal(const std::string& content) {
  return refusal_of([&] {
    ZipArchive archive(bytes_in_memory("f", content));
    for (const ZipMember& member : archive.members()) archive.read(member);
  });
}

/// The file with `value` written over its bytes at `at`.
std::string with(std::string file, size_t at, const std::string& value) {
  return file.replace(at, value.size(), value);
}

const std::vector<Member> two = {{"a/x", "hello"}, {"a/y", "world!"}};

}  // namespace

TEST_CASE("zip: stored members are found and read in place") {
  for (bool streamed : {false, true}) {
    std::vector<Member> members = two;
    members.push_back({"a/empty", ""});
    for (Member& member : members) member.streamed = streamed;
    ZipArchive archive(bytes_in_memory("f", zip_of(members, streamed ? "a comment" : "")));
    REQUIRE(archive.members().size() == 3);
    CHECK(text_of(archive.read(*archive.find("a/x"))) == "hello");
    CHECK(text_of(archive.read(*archive.find("a/y"))) == "world!");
    CHECK(text_of(archive.read(*archive.find("a/empty"))) == "");
    CHECK(archive.find("a") == nullptr);
    CHECK(archive.find("b") == nullptr);
  }
  CHECK(ZipArchive(bytes_in_memory("f", zip_of({}))).members().empty());
}

TEST_CASE("zip: archives that PyTorch never writes are refused") {
  CHECK(has(refusal(zip_of({{"a/x", "hello", 0, 8}})), "is compressed"));
  CHECK(has(refusal(zip_of({{"a/x", "hello", 1}})), "is encrypted"));
  CHECK(has(refusal(zip_of({{"a/x", "1"}, {"a/x", "2"}})), "is there twice"));
  for (const char* name : {"../x", "a/../x", "/x", "a//x", "a\\x", "a/", ".", "a/.", "", "a/.."})
    CHECK(has(refusal(zip_of({{name, "hello"}})), "is not allowed"));
  CHECK(has(refusal(zip_of({{std::string("a\0b", 3), "hello"}})), "is not allowed"));
}

TEST_CASE("zip: only TorchScript's program text may be deflated, and it is never read") {
  const std::string program = "def forward(self, x):\n  return x\n" + std::string(300, '#');
  for (bool streamed : {false, true})
    for (const char* name : {"a/code/m.py", "a/code/__torch__/m.py", "a/debug/m.debug_pkl"}) {
      Member text{name, program, 0, 8};
      text.streamed = streamed;
      const ZipArchive archive(bytes_in_memory("f", zip_of({two[0], text, two[1]})));
      REQUIRE(archive.members().size() == 3);
      CHECK(text_of(archive.read(*archive.find("a/x"))) == "hello");
      CHECK(text_of(archive.read(*archive.find("a/y"))) == "world!");
      CHECK(archive.find(name)->packed < archive.find(name)->size);
      CHECK(has(refusal_of([&] { archive.read(*archive.find(name)); }), "is compressed"));
      for (int64_t packed : {0, 1, 30, 4000}) {
        text.claimed_packed = packed;
        CHECK(refusal_of([&] {
                ZipArchive(bytes_in_memory("f", zip_of({two[0], text, two[1]})));
              }) != "accepted");
      }
    }
  for (const char* name : {"a/data.pkl", "a/data/0", "a/version", "a/codes/x", "code/m.py", "a/m.debug_pkl2"})
    CHECK(has(refusal(zip_of({{name, program, 0, 8}})), "is compressed"));
  CHECK(has(refusal(zip_of({{"a/code/m.py", "12", 0, 12}})), "is compressed"));  // bzip2
  Member lying{"a/code/m.py", program};
  lying.claimed_packed = 5;
  CHECK(has(refusal(zip_of({lying})), "is compressed"));
}

TEST_CASE("zip: a TorchScript CLIP with deflated program text opens as the one with stored text") {
  const FileBytes published = map_file(golden("openai_clip_vit/small_jit.pt"));
  const ZipArchive archive(published);
  std::vector<Member> members;
  for (const ZipMember& member : archive.members()) {
    members.push_back({std::string(member.name), std::string(text_of(archive.read(member)))});
    if (member.name.find("/code/") != member.name.npos) members.back().method = 8;
  }
  members.push_back({"small_jit/code/__torch__/more.py", std::string(5000, 'x'), 0, 8, true});
  const auto opened = [](const FileBytes& file) { return import_files({read_torch_zip(file)}, nullptr); };
  const Checkpoint found = opened(bytes_in_memory("f", zip_of(members))), expected = opened(published);
  CHECK(found.part == "clip");
  CHECK(found.config == expected.config);
  REQUIRE(found.tensors.size() == expected.tensors.size());
  for (size_t i = 0; i < found.tensors.size(); ++i) {
    CHECK(found.tensors[i].name == expected.tensors[i].name);
    CHECK(text_of(found.tensors[i].bytes) == text_of(expected.tensors[i].bytes));
  }
}

TEST_CASE("zip: structures that disagree are refused with the byte") {
  Member lying = two[0];
  lying.local_name = "a/z";
  CHECK(has(refusal(zip_of({lying})), "disagrees with the zip directory"));
  lying = two[0];
  lying.claimed_size = 4;
  CHECK(has(refusal(zip_of({lying})), "checksum"));
  lying.claimed_size = 0x7fffffff;
  CHECK(has(refusal(zip_of({lying})), "zip member 'a/x' needs 2147483647 bytes"));
  lying.claimed_size = 0xffffffff;  // "see the zip64 field", and there is none
  CHECK(has(refusal(zip_of({lying})), "a 64-bit size is missing"));

  const std::string file = zip_of(two);
  const size_t directory = file.find("PK\1\2"), end = file.find("PK\5\6");
  CHECK(has(refusal(with(file, 14, le<uint32_t>(1))), "disagrees"));  // local checksum
  CHECK(has(refusal(with(file, 8, le<uint16_t>(8))), "disagrees"));   // local method
  CHECK(has(refusal(with(file, 33, "j")), "checksum"));               // data
  CHECK(
      has(refusal(with(file, directory + 42, le<uint32_t>(7))), "zip member 'a/x'"));  // offset of the header
  CHECK(has(refusal(with(file, directory + 42, le<uint32_t>(1u << 30))), "needs 30 bytes"));
  CHECK(has(refusal(with(file, end + 10, le<uint16_t>(1))), "the zip directory ends at byte"));
  CHECK(has(refusal(with(file, end + 10, le<uint16_t>(3))), "too small for 3 members"));
  CHECK(has(refusal(with(file, end + 12, le<uint32_t>(1))), "does not end at byte"));
  CHECK(has(refusal(with(file, end + 16, le<uint32_t>(0xfffffff0))), "does not end at byte"));
  CHECK(has(refusal(with(file, end + 16, le<uint32_t>(0xffffffff))), "no zip64 end record"));
  CHECK(has(refusal(with(file, end + 4, le<uint16_t>(1))), "several disks"));
  CHECK(has(refusal(file + "x"), "without its end record"));
}

TEST_CASE("zip: two members over the same bytes are refused") {
  // The second directory entry points to the first member's header, and the name agrees: a quine or a bomb.
  std::string file = zip_of({{"a/x", "hello"}, {"a/x", "hello"}});
  const size_t second = file.find("PK\1\2", file.find("PK\1\2") + 4);
  CHECK(has(refusal(with(file, second + 42, le<uint32_t>(0))), "overlaps what follows"));
  // A member whose data holds another member's header and data.
  const std::string inner = "PK\3\4" + le<uint16_t>(20) + std::string(8, '\0') + le(0x3610a686u) + le(5u) +
                            le(5u) + le<uint16_t>(3) + le<uint16_t>(0) + "a/ihello";
  file = zip_of({{"a/o", inner}, {"a/i", "hello"}});
  const size_t entry = file.find("PK\1\2", file.find("PK\1\2") + 4);
  CHECK(has(refusal(with(file, entry + 42, le<uint32_t>(33))), "overlaps what follows"));
}

TEST_CASE("zip: an archive cut short at every byte is refused") {
  for (bool streamed : {false, true}) {
    std::vector<Member> members = two;
    for (Member& member : members) member.streamed = streamed;
    const std::string whole = zip_of(members);
    for (size_t size = 0; size < whole.size(); ++size) CHECK(refusal(whole.substr(0, size)) != "accepted");
  }
}
