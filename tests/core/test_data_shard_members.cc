// Which members of a webdataset shard form a sample.
#include <doctest/doctest.h>

#include "core/data/pair_fields.h"
#include "core/data/shard_members.h"

using namespace dalle1;

namespace {

struct Found {
  std::vector<std::pair<std::string, std::string>> samples;  // names of picture and caption
  std::string left_out;
};

Found samples_of(const std::vector<std::string>& names) {
  DataSummary summary;
  ShardMembers members(summary);
  for (size_t i = 0; i < names.size(); ++i) members.add(names[i], i);
  Found found;
  for (const auto& [picture, caption] : members.samples())
    found.samples.emplace_back(names[picture], caption == kNoMember ? "" : names[caption]);
  found.left_out = summary.left_out_line();
  return found;
}

using Samples = std::vector<std::pair<std::string, std::string>>;

}  // namespace

TEST_CASE("shard members: a stem's picture and caption, wherever they stand") {
  const Found apart =
      samples_of({"a.txt", "b.png", "d/c.jpeg", "b.json", "a.jpg", "b.txt", "d/c.json", "e.cls"});
  CHECK(apart.samples == Samples{{"a.jpg", "a.txt"}, {"b.png", "b.txt"}, {"d/c.jpeg", "d/c.json"}});
  CHECK(apart.left_out.empty());
  CHECK(samples_of({"x/a.jpg", "y/a.txt"}).left_out == "1 without a picture");
}

TEST_CASE("shard members: keys with dots") {
  CHECK(samples_of({"a.b.jpg", "a.b.txt"}).samples == Samples{{"a.b.jpg", "a.b.txt"}});
  CHECK(samples_of({"1.5.jpg", "1.5.txt", "1.6.jpg", "1.6.txt"}).samples ==
        Samples{{"1.5.jpg", "1.5.txt"}, {"1.6.jpg", "1.6.txt"}});
  CHECK(samples_of({"1.5.jpg", "1.6.jpg"}).samples == Samples{{"1.5.jpg", ""}, {"1.6.jpg", ""}});
  CHECK(samples_of({"v1.2/a.jpg", "v1.2/a.txt"}).samples == Samples{{"v1.2/a.jpg", "v1.2/a.txt"}});
}

TEST_CASE("shard members: fields of one key") {
  CHECK(samples_of({"s.input.jpg", "s.outputs.txt"}).samples == Samples{{"s.input.jpg", "s.outputs.txt"}});
  CHECK(samples_of({"s.input.jpg", "s.json", "s.outputs.txt"}).samples ==
        Samples{{"s.input.jpg", "s.outputs.txt"}});
  const Found pair = samples_of({"s.left.png", "s.right.png", "s.txt"});
  CHECK(pair.samples.empty());
  CHECK(pair.left_out == "3 without a clear pair");
  const Found further = samples_of({"s.mask.png", "s.png", "s.txt", "s.alt.txt"});
  CHECK(further.samples == Samples{{"s.png", "s.txt"}});
  CHECK(further.left_out == "2 without a clear pair");
  const Found plain = samples_of({"s.mask.png", "s.png", "s.outputs.txt"});
  CHECK(plain.samples == Samples{{"s.png", "s.outputs.txt"}});
  CHECK(plain.left_out == "1 without a clear pair");
  const Found two = samples_of({"s.png", "s.title.txt", "s.alt.txt"});
  CHECK(two.samples == Samples{{"s.png", ""}});
  CHECK(two.left_out == "2 without a clear pair");
}

TEST_CASE("shard members: what is left out") {
  CHECK(samples_of({"a.jpg", "a.txt", "a.txt", "a.png", "a.TXT"}).left_out ==
        "3 repeated (the first is used)");
  CHECK(samples_of({"a.webp", "a.txt", "b.Gif", "c.json"}).left_out ==
        "1 .gif, 1 .webp, 1 without a picture");
  const Found hidden =
      samples_of({"./._a.png", "./a.png", "__MACOSX/._a.png", ".git/b.txt", "../c.png", ".DS_Store"});
  CHECK(hidden.samples == Samples{{"./a.png", ""}, {"../c.png", ""}});
  CHECK(hidden.left_out == "3 hidden");
}

TEST_CASE("fields: the case of an ending does not matter") {
  CHECK(field_kind("d.x/a.JPeG") == FieldKind::picture);
  CHECK(field_kind("a.b.TXT") == FieldKind::text);
  CHECK(field_kind("a.Json") == FieldKind::json);
  CHECK(field_kind("a.AVIF") == FieldKind::other_picture);
  CHECK(field_kind("a.png/b") == FieldKind::other);
  CHECK(field_kind("png") == FieldKind::other);
  CHECK(is_compressed_tar("x/0.TAR.GZ"));
  CHECK_FALSE(is_compressed_tar("x/0.gz"));
}
