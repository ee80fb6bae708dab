// The page in Chromium and OpenAI's JavaScript client, against the real server.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdlib>
#include <fstream>

#include "core/image/png.h"
#include "tests/serve/server.h"
#include "tests/tools/run_files.h"

namespace dalle1::test {
namespace {

// Runs a script and returns what it says; errors included.
std::string said_by(const std::string& command, const ScratchDir& scratch) {
  const auto said = scratch / "said";
  const int status = std::system(fmt::format("{} >'{}' 2>&1", command, said.string()).c_str());
  const auto text = content_of(said);
  CHECK_MESSAGE(status == 0, text);
  return text;
}

std::string url_of(const Server& server) { return fmt::format("http://127.0.0.1:{}", server.port()); }
const std::string kFolder = DALLE1_SOURCE_DIR "/tests/serve/";

}  // namespace

TEST_CASE("the page draws, ranks, changes, varies, remembers and fits, without a word on the console") {
  REQUIRE_MESSAGE(std::system("command -v chromium >/dev/null 2>&1") == 0,
                  "no chromium here; tools/install_packages.sh --test installs it");
  const ScratchDir scratch;
  const Server server;
  CHECK(said_by(fmt::format("python3 {}page.py {}", kFolder, url_of(server)), scratch) == "ok\n");
}

TEST_CASE("the page asks for a key where the server does") {
  REQUIRE_MESSAGE(std::system("command -v chromium >/dev/null 2>&1") == 0,
                  "no chromium here; tools/install_packages.sh --test installs it");
  const ScratchDir scratch;
  std::ofstream(scratch / "keys") << "a-key-of-some-length\n";
  const Server server({"--api-key-file", (scratch / "keys").string()});
  CHECK(said_by(fmt::format("python3 {}page.py {} a-key-of-some-length", kFolder, url_of(server)), scratch) ==
        "ok\n");
}

TEST_CASE("OpenAI's JavaScript client reads every answer") {
  const char* folder = std::getenv("DALLE1_OPENAI_JS");
  if (!folder) {
    MESSAGE("skipped, 1 check: DALLE1_OPENAI_JS names no folder in which npm has installed openai");
    return;
  }
  const ScratchDir scratch;
  std::ofstream(scratch / "keys") << "a-key-of-some-length\n";
  Image picture(64, 64, 3, 90);
  for (int x = 0; x < 64; ++x) picture.at(x, 9)[0] = 250;
  write_png(scratch / "picture.png", picture);
  const Server server({"--api-key-file", (scratch / "keys").string()});
  CHECK(said_by(fmt::format("node --no-warnings {}client.mjs '{}' {} '{}'", kFolder, folder, url_of(server),
                            (scratch / "picture.png").string()),
                scratch) == "ok\n");
}

}  // namespace dalle1::test
