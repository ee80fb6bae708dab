// Pictures over HTTP are those of the command line, file for file.
#include <doctest/doctest.h>

#include <set>

#include "core/image/png.h"
#include "core/random/philox.h"
#include "tests/serve/server.h"
#include "tests/tools/program.h"
#include "tests/tools/run_files.h"
#include "tests/tools/tiny_model.h"

namespace dalle1::test {
namespace {

namespace fs = std::filesystem;

// The kept pictures of a run of the command line, best first.
std::vector<std::string> drawn_by_program(const std::string& command, std::vector<std::string> more) {
  ScratchDir scratch;
  std::vector<std::string> arguments = {command, "--model", shallow_model().string(), "--out",
                                        (scratch / "out").string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const auto result = run_program(arguments);
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(scratch / "out"))
    if (entry.path().filename().string().starts_with("rank-"))
      files[entry.path().string()] = content_of(entry.path());
  std::vector<std::string> contents;
  for (auto& [name, content] : files) contents.push_back(std::move(content));
  return contents;
}

std::vector<std::string> files_in(const Reply& reply) {
  std::vector<std::string> files;
  const auto json = reply.json();
  for (const auto& picture : json["data"]) files.push_back(from_base64(picture["b64_json"]));
  return files;
}

// Something to see in every cell, 96 x 64.
Image some_picture(int channels = 3) {
  Image picture(96, 64, channels, 255);
  for (int y = 0; y < 64; ++y)
    for (int x = 0; x < 96; ++x)
      for (int c = 0; c < 3; ++c)
        picture.at(x, y)[c] = static_cast<uint8_t>(random_block(1, Stream::test, y / 8, x / 8, c)[0]);
  return picture;
}

std::string as_file(const Image& picture) {
  const auto bytes = encode_png(picture);
  return {bytes.begin(), bytes.end()};
}

}  // namespace

TEST_CASE("generations are the command line's pictures, texts in them included") {
  const Server server;
  const auto reply = ask(server, json_request("/v1/images/generations", {{"prompt", "a red cat"},
                                                                         {"n", 3},
                                                                         {"candidates", 7},
                                                                         {"seed", 18446744073709551615u},
                                                                         {"temperature", 0.9},
                                                                         {"guidance", 2.5},
                                                                         {"negative", "a blue square"},
                                                                         {"response_format", "b64_json"},
                                                                         {"size", "64x64"},
                                                                         {"user", "somebody"},
                                                                         {"quality", nullptr}}));
  REQUIRE_MESSAGE(reply.status == 200, reply.body);
  CHECK(files_in(reply) ==
        drawn_by_program("sample", {"--prompt", "a red cat", "--keep", "3", "--candidates", "7", "--seed",
                                    "18446744073709551615", "--temperature", "0.9", "--guidance", "2.5",
                                    "--negative", "a blue square"}));
  const auto json = reply.json();
  CHECK(json["seed"] == 18446744073709551615u);
  CHECK(json["created"].get<int64_t>() > 1600000000);
  CHECK(json["size"] == "64x64");
  CHECK(json["candidates"] == 7);
  CHECK(json["usage"]["output_tokens"] == 7 * 64);
  CHECK(json["id"] == reply.header("x-request-id"));
  CHECK(json["data"][0]["rank"] == 0);
  CHECK(json["data"][0]["score"].get<double>() >= json["data"][1]["score"].get<double>());
}

TEST_CASE("candidates are pruned as on the command line, or the field is refused by its name") {
  const Server server;
  nlohmann::json request = {{"prompt", "a red cat"}, {"n", 2}, {"candidates", 6}, {"seed", 4}, {"prune", 3}};
  const auto refused = ask(server, json_request("/v1/images/generations", request));
  CHECK(refused.status == 400);
  CHECK(refused.json()["error"]["param"] == "prune");
  request["scorer"] = "clip=1,likelihood=0.5";
  const auto reply = ask(server, json_request("/v1/images/generations", request));
  REQUIRE_MESSAGE(reply.status == 200, reply.body);
  CHECK(files_in(reply) ==
        drawn_by_program("sample", {"--prompt", "a red cat", "--keep", "2", "--candidates", "6", "--seed",
                                    "4", "--prune", "3", "--scorer", "clip=1,likelihood=0.5"}));
}

TEST_CASE("what a request leaves open: one picture of the server's number of candidates, a seed of its own") {
  const Server server({"--candidates", "5"});
  const auto ask_once = [&] {
    const auto reply = ask(server, json_request("/v1/images/generations", {{"prompt", "a red cat"}}));
    REQUIRE_MESSAGE(reply.status == 200, reply.body);
    return reply;
  };
  const auto first = ask_once(), second = ask_once();
  CHECK(first.json()["data"].size() == 1);
  CHECK(first.json()["candidates"] == 5);
  CHECK(first.json()["seed"] != second.json()["seed"]);
  CHECK(files_in(first) == drawn_by_program("sample", {"--prompt", "a red cat", "--keep", "1", "--candidates",
                                                       "5", "--seed", first.json()["seed"].dump()}));
}

TEST_CASE("edits and variations are the command line's") {
  const Server server;
  ScratchDir scratch;
  Image mask(96, 64, 4, 255);
  for (int y = 20; y < 40; ++y)
    for (int x = 40; x < 60; ++x) mask.at(x, y)[3] = 0;
  Image see_through = some_picture(4);
  for (int x = 30; x < 50; ++x) see_through.at(x, 50)[3] = 0;
  write_png(scratch / "picture.png", some_picture());
  write_png(scratch / "mask.png", mask);
  write_png(scratch / "through.png", see_through);
  const auto file = [&](const char* name) { return (scratch / name).string(); };
  const std::vector<FormField> common = {
      {"prompt", "a red cat"}, {"n", "2"}, {"candidates", "5"}, {"seed", "3"}};
  const std::vector<std::string> same = {"--prompt",     "a red cat", "--keep", "2",
                                         "--candidates", "5",         "--seed", "3"};
  const auto compare = [&](const std::string& path, std::vector<FormField> fields, const std::string& command,
                           std::vector<std::string> more) {
    fields.insert(fields.end(), common.begin(), common.end());
    more.insert(more.end(), same.begin(), same.end());
    const auto reply = ask(server, form_request(path, fields));
    REQUIRE_MESSAGE(reply.status == 200, reply.body);
    CHECK(files_in(reply) == drawn_by_program(command, more));
  };
  const FormField image{"image", as_file(some_picture()), true};
  const std::string edits = "/v1/images/edits";
  compare(edits, {image, {"mask", as_file(mask), true}}, "complete",
          {"--image", file("picture.png"), "--mask", file("mask.png")});
  compare(edits, {image, {"keep_rows", "5"}, {"paste", "true"}}, "complete",
          {"--image", file("picture.png"), "--keep-rows", "5", "--paste"});
  compare(edits, {image, {"region", "32,16,16,16"}, {"redraw_rest", "true"}}, "complete",
          {"--image", file("picture.png"), "--region", "32,16,16,16", "--redraw-rest"});
  compare(edits, {{"image[]", as_file(see_through), true}}, "complete",
          {"--image", file("through.png"), "--mask", file("through.png")});
  compare("/v1/images/variations", {image, {"depths", "2,6"}}, "vary",
          {"--image", file("picture.png"), "--depths", "2,6"});
}

TEST_CASE("a stream shows the picture row by row and ends with the pictures of the whole answer") {
  const Server server;
  nlohmann::json request = {{"prompt", "a red cat"}, {"n", 2}, {"candidates", 5}, {"seed", 4}};
  const auto whole = ask(server, json_request("/v1/images/generations", request));
  request["stream"] = true;
  request["partial_images"] = 3;
  const auto plain = ask(server, json_request("/v1/images/generations", request));
  CHECK(plain.header("content-type") == "text/event-stream");
  std::vector<std::string> completed;
  std::vector<int> rows;
  for (const auto& event : events_of(plain.body)) {
    if (event["type"] == "image_generation.completed") completed.push_back(from_base64(event["b64_json"]));
    if (event["type"] != "image_generation.partial_image") continue;
    if (event["candidate"] == 0) rows.push_back(event["rows"]);
    const auto png = from_base64(event["b64_json"]);
    const auto picture = decode_image({reinterpret_cast<const uint8_t*>(png.data()), png.size()}, "preview");
    REQUIRE(picture.channels == 4);
    const int seen = event["rows"].get<int>() * 8;
    CHECK(picture.at(63, seen - 1)[3] == 255);
    CHECK(picture.at(63, 63)[3] == 0);
  }
  CHECK(completed == files_in(whole));
  CHECK(rows == std::vector<int>{2, 4, 6});
}

TEST_CASE("with progress a stream tells scores as they come, of the best so far alone") {
  const Server server;
  const auto reply = ask(server, json_request("/v1/images/generations", {{"prompt", "a red cat"},
                                                                         {"n", 2},
                                                                         {"candidates", 9},
                                                                         {"batch", 3},
                                                                         {"seed", 4},
                                                                         {"stream", true},
                                                                         {"progress", true}}));
  std::map<std::string, int> kinds;
  std::set<uint32_t> scored, completed;
  for (const auto& event : events_of(reply.body)) {
    ++kinds[event["type"]];
    if (event["type"] == "dalle1.scored") scored.insert(event["candidate"].get<uint32_t>());
    if (event["type"] == "image_generation.completed") completed.insert(event["candidate"].get<uint32_t>());
  }
  CHECK(kinds["dalle1.started"] == 1);
  CHECK(kinds["dalle1.progress"] > 0);
  CHECK(kinds["dalle1.scored"] >= 2);
  CHECK(kinds["dalle1.scored"] <= 6);
  CHECK(completed.size() == 2);
  for (const auto candidate : completed) CHECK(scored.count(candidate) == 1);
}

}  // namespace dalle1::test
