// Trainings of small models by the program, and what they leave.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/mpi/ranks.h"
#include "tests/support/golden.h"

namespace dalle1::test {

using nlohmann::json;
namespace fs = std::filesystem;

/// Pictures with captions, and their tokens.
struct Data {
  ScratchDir scratch;

  Data();
  std::string at(const std::string& name) const;
};

const Data& data();

struct Model {
  std::string name;
  json architecture, train;
};

/// One of each kind that is trained; the transformer first.
const std::vector<Model>& models();

/// A training of `steps` updates of four micro-batches each into the folder `out`; `train` on top.
std::vector<std::string> training(const Model& model, const std::string& out,
                                  const json& train = json::object(), int64_t steps = 6);
std::vector<std::string> with(std::vector<std::string> words, const std::vector<std::string>& more);

void succeeds(const ProgramResult& result);

/// Rows of the log but for what depends on the clock and on the number of ranks.
std::vector<json> figures(const std::string& run);
void same_run(const std::string& one, const std::string& other, const std::string& checkpoint);

}  // namespace dalle1::test
