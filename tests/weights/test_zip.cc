#include "tests/weights/files.h"
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
