// Ranking and embeddings over HTTP are the command line's.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "core/data/npy.h"
#include "core/image/png.h"
#include "core/io/atomic_file.h"
#include "core/random/philox.h"
#include "tests/serve/server.h"
#include "tests/tools/program.h"
#include "tests/tools/run_files.h"
#include "tests/tools/tiny_model.h"
#include "tests/tools/trained_captioner.h"

namespace dalle1::test {
namespace {

namespace fs = std::filesystem;

// Pictures that differ, the second of one colour.
struct SomePictures {
  static constexpr int kCount = 4;
  SomePictures() {
    for (int i = 0; i < kCount; ++i) {
      Image picture(80 + i, 64, 3, 120);
      for (int y = 0; i != 1 && y < 64; ++y)
        for (int x = 0; x < picture.width; ++x)
          for (int c = 0; c < 3; ++c)
            picture.at(x, y)[c] = static_cast<uint8_t>(random_block(i, Stream::test, y / 9, x / 9, c)[0]);
      paths.push_back((scratch / ("picture" + std::to_string(i) + ".png")).string());
      write_png(paths.back(), picture);
      fields.push_back({"image[]", content_of(paths.back()), true});
    }
  }
  ScratchDir scratch;
  std::vector<std::string> paths;
  std::vector<FormField> fields;
};

std::vector<std::string> with_pictures(std::vector<std::string> arguments,
                                       const std::vector<std::string>& pictures) {
  arguments.insert(arguments.end(), {"--model", shallow_model().string()});
  arguments.insert(arguments.end(), pictures.begin(), pictures.end());
  return arguments;
}

// Rows of a file of features, made as long as 1.
std::vector<std::vector<float>> unit_rows_of(const fs::path& file) {
  const auto features = read_npy(file);
  const auto values = features.values<float>();
  std::vector<std::vector<float>> rows;
  const auto width = static_cast<size_t>(features.shape[1]);
  for (size_t begin = 0; begin < values.size(); begin += width) {
    const auto at = values.begin() + static_cast<std::ptrdiff_t>(begin);
    std::vector<float> row(at, at + static_cast<std::ptrdiff_t>(width));
    double squares = 0;
    for (const float value : row) squares += double(value) * value;
    for (float& value : row) value = static_cast<float>(value / std::sqrt(squares));
    rows.push_back(std::move(row));
  }
  return rows;
}

void check_embeddings(const nlohmann::json& answer, const std::vector<std::vector<float>>& expected) {
  REQUIRE(answer["data"].size() == expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    CHECK(answer["data"][i]["index"] == i);
    const auto values = answer["data"][i]["embedding"].get<std::vector<float>>();
    CHECK(values == expected[i]);
  }
}

}  // namespace

TEST_CASE("pictures are ranked as the program ranks them") {
  const SomePictures pictures;
  const auto program =
      run_program(with_pictures({"rank", "--json", "--prompt", "a red cat"}, pictures.paths));
  REQUIRE_MESSAGE(program.exit_code == 0, program.err);
  const auto expected = nlohmann::json::parse(program.out)["pictures"];
  const Server server;
  auto fields = pictures.fields;
  fields.push_back({"prompt", "a red cat"});
  const auto reply = ask(server, form_request("/v1/rank", fields));
  REQUIRE_MESSAGE(reply.status == 200, reply.body);
  const auto data = reply.json()["data"];
  REQUIRE(data.size() == SomePictures::kCount);
  for (size_t i = 0; i < data.size(); ++i) {
    CHECK(pictures.paths[data[i]["index"].get<size_t>()] == expected[i]["picture"]);
    CHECK(data[i]["cosine"] == expected[i]["cosine"]);
    CHECK(data[i]["logit"] == expected[i]["logit"]);
  }
  CHECK(data.back()["constant"] == true);
  CHECK(data.back()["index"] == 1);
}

TEST_CASE("embeddings are the program's, of length 1, in both encodings") {
  const SomePictures pictures;
  const Server server;
  const auto file = pictures.scratch / "features.npy";
  auto program = run_program(with_pictures({"embed", "--out", file.string()}, pictures.paths));
  REQUIRE_MESSAGE(program.exit_code == 0, program.err);
  const auto by_form = ask(server, form_request("/v1/embeddings", pictures.fields));
  REQUIRE_MESSAGE(by_form.status == 200, by_form.body);
  check_embeddings(by_form.json(), unit_rows_of(file));

  program = run_program({"embed", "--model", shallow_model().string(), "--text", "a red cat", "--text",
                         "a blue square", "--out", file.string()});
  REQUIRE_MESSAGE(program.exit_code == 0, program.err);
  const auto expected = unit_rows_of(file);
  const auto texts = ask(server, json_request("/v1/embeddings", {{"input", {"a red cat", "a blue square"}}}));
  REQUIRE_MESSAGE(texts.status == 200, texts.body);
  check_embeddings(texts.json(), expected);

  const auto coded =
      ask(server, json_request("/v1/embeddings", {{"input", "a red cat"}, {"encoding_format", "base64"}}));
  REQUIRE_MESSAGE(coded.status == 200, coded.body);
  const auto bytes = from_base64(coded.json()["data"][0]["embedding"]);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  CHECK(values == expected[0]);
}

TEST_CASE("captions are the program's") {
  const auto& trained = trained_captioner();
  const std::vector<std::string> pictures(trained.pictures.begin(), trained.pictures.begin() + 3);
  const auto program =
      run_program(with_pictures({"caption", "--json", "--captioner", trained.captioner()}, pictures));
  REQUIRE_MESSAGE(program.exit_code == 0, program.err);
  const auto expected = nlohmann::json::parse(program.out);
  const Server server({"--captioner", trained.captioner(), "--scorer", "clip=1,caption=0.1"});
  std::vector<FormField> fields;
  for (int i = 0; i < 3; ++i) fields.push_back({"image", content_of(pictures[i]), true});
  const auto reply = ask(server, form_request("/v1/captions", fields));
  REQUIRE_MESSAGE(reply.status == 200, reply.body);
  const auto data = reply.json()["data"];
  REQUIRE(data.size() == 3);
  for (size_t i = 0; i < 3; ++i) CHECK(data[i]["captions"][0] == expected[i]["caption"]);
  fields.push_back({"count", "2"});
  CHECK(ask(server, form_request("/v1/captions", fields)).status == 400);
}

TEST_CASE("what cannot be judged is refused in one line") {
  const Server server;
  const auto refused = [&](const std::string& request, int status, const std::string& words) {
    const auto reply = ask(server, request);
    CHECK_MESSAGE(reply.status == status, reply.body);
    CHECK_MESSAGE(reply.body.find(words) != std::string::npos, reply.body);
  };
  const FormField prompt{"prompt", "a red cat"}, broken{"image", "no picture", true};
  refused(form_request("/v1/rank", {prompt}), 400, "no 'image'");
  refused(form_request("/v1/rank", {prompt, broken}), 400, "'image'");
  refused(form_request("/v1/rank", {broken}), 400, "no 'prompt'");
  refused(form_request("/v1/rank", {prompt, broken, {"model", "dall-e-3"}}), 404, "this server has 'tiny'");
  refused(form_request("/v1/rank", {prompt, prompt, broken}), 400, "twice");
  refused(json_request("/v1/rank", {{"prompt", "a red cat"}}), 415, "multipart/form-data");
  refused(json_request("/v1/embeddings", nlohmann::json::object()), 400, "no 'input'");
  refused(json_request("/v1/embeddings", {{"input", 7}}), 400, "must be a text");
  refused(json_request("/v1/embeddings", {{"input", std::vector<std::string>(65, "x")}}), 400,
          "64 are allowed");
  refused(json_request("/v1/embeddings", {{"input", std::string(5000, 'x')}}), 400, "4000 are allowed");
  refused(json_request("/v1/embeddings", {{"input", "x"}, {"encoding_format", "hex"}}), 400, "base64");
  refused(form_request("/v1/embeddings", {broken, {"input", "x"}}), 400, "texts are sent as JSON");
  const FormField picture{"image", content_of(trained_captioner().pictures[0]), true};
  refused(form_request("/v1/captions", {picture}), 400, "no captioner");

  const ScratchDir scratch;
  const auto model = scratch / "model";
  std::filesystem::copy(shallow_model(), model);
  auto document = nlohmann::json::parse(content_of(model / "model.json"));
  document.erase("clip");
  write_file_atomically(model / "model.json", document.dump());
  const Server without({"--scorer", "likelihood"}, model);
  const auto reply = ask(without, json_request("/v1/embeddings", {{"input", "x"}}));
  CHECK(reply.status == 400);
  CHECK(reply.body.find("no CLIP") != std::string::npos);
}

}  // namespace dalle1::test
