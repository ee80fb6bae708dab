// Options that mean the same in every command, and where the program finds its model.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/tensor/device.h"

namespace dalle1::tools {

enum class ProgressMode { automatic, plain, json, none };

/// Every member also has an environment variable: --device is DALLE1_DEVICE, --dvae is DALLE1_DVAE, and so
/// on. What is typed wins.
struct CommonOptions {
  std::string device = "auto";    ///< auto, cpu, cuda, cuda:1
  int threads = 0;                ///< 0: as many as the machine lets this process use
  bool json = false;              ///< One JSON document on stdout instead of text.
  bool quiet = false;             ///< The same as progress = none.
  std::string progress = "auto";  ///< auto, plain, json, none
  double rank_timeout = 60;       ///< Seconds after which a silent rank ends the job; 0: never.

  std::string model;                     ///< Directory or published file; empty: the search rule.
  std::vector<std::string> transformer;  ///< Files that override one part of the model each.
  std::vector<std::string> dvae;
  std::vector<std::string> clip;
  std::vector<std::string> captioner;
  std::vector<std::string> tokenizer;
  std::vector<std::string> config;  ///< [PART=]PRESET|FILE
  std::string precision = "auto";   ///< auto, f32, bf16, int8; see tools/models/transformer_model.h.

  ProgressMode progress_mode() const;
};

/// --device, --threads, --json, --progress, --quiet. The program calls it for every command.
void add_common_options(CLI::App& app, CommonOptions& common);
/// --rank-timeout, of commands that run on several ranks.
void add_rank_options(CLI::App& app, CommonOptions& common);
/// --model, --transformer, --dvae, --clip, --captioner, --tokenizer, --config, --precision: commands that
/// load a model call it.
void add_model_options(CLI::App& app, CommonOptions& common);

/// An option that may be repeated and takes one value an occurrence, or several separated by commas; it never
/// swallows the positional arguments that follow.
CLI::Option* add_list_option(CLI::App& app, const std::string& name, std::vector<std::string>& values,
                             const std::string& description);

/// Where the model is: --model, else DALLE1_MODEL, else ../share/dalle1/default beside the program, else
/// weights/default of the checkout that the program was built from. Error(model) that lists these when none
/// exists.
std::filesystem::path find_model(const CommonOptions& common);
/// The same, or nothing when neither an option nor a default names a model.
std::optional<std::filesystem::path> find_model_if_any(const CommonOptions& common);

/// A file that comes with the program, such as "tokenizers/clip_bpe.txt.gz": ../share/dalle1/NAME beside the
/// program, else weights/NAME of the checkout. Error(internal) when it is in neither place: the installation
/// is not whole.
std::filesystem::path shared_file(const std::string& name);

/// Processors that this process may use: its affinity mask, further limited by the control group's quota.
int usable_processors();

/// The device of --device with --threads applied; says which on stderr, once, unless --quiet.
std::shared_ptr<Device> open_device(const CommonOptions& common);

/// How a field is given on the command line: "--top-k" for "top_k".
std::string flag_of(std::string_view field);
/// The error's message with the options that it names as flags.
std::string message_of(const Error& error);

/// A document as text. Bytes of it that are not UTF-8, which a path may have, become U+FFFD: a library's
/// error about them would end the run. `indent` -1: one line.
std::string json_text(const nlohmann::ordered_json& document, int indent = 2);

/// Command-line arguments as one line that a shell reads back.
std::string shell_line(const std::vector<std::string>& arguments);
/// The command line of this process, for records of how a result was made.
const std::string& program_command_line();

}  // namespace dalle1::tools
