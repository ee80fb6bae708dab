#include "weights/describe.h"

#include <fmt/format.h>

#include <map>
#include <span>

#include "weights/sha256.h"

namespace dalle1::weights {

nlohmann::ordered_json describe(const Checkpoint& checkpoint, bool list_tensors) {
  struct Sum {
    uint64_t tensors = 0, elements = 0, bytes = 0;
  };
  std::map<std::string, Sum> sums;
  for (const RawTensor& tensor : checkpoint.tensors) {
    Sum& sum = sums[std::string(name_of(tensor.dtype))];
    sum.tensors += 1;
    sum.elements += static_cast<uint64_t>(tensor.numel());
    sum.bytes += tensor.bytes.size();
  }
  nlohmann::ordered_json dtypes = nlohmann::ordered_json::object();
  for (auto& [name, sum] : sums)
    dtypes[name] = {{"tensors", sum.tensors}, {"elements", sum.elements}, {"bytes", sum.bytes}};
  nlohmann::ordered_json result = {{"part", checkpoint.part},
                                   {"format", checkpoint.format},
                                   {"source", checkpoint.source},
                                   {"config", checkpoint.config},
                                   {"parameters", checkpoint.parameter_count()},
                                   {"bytes", checkpoint.byte_count()},
                                   {"dtypes", dtypes}};
  if (!list_tensors) return result;
  nlohmann::ordered_json tensors = nlohmann::ordered_json::array();
  for (const RawTensor& tensor : checkpoint.tensors)
    tensors.push_back({{"name", tensor.name}, {"dtype", name_of(tensor.dtype)}, {"shape", tensor.shape}});
  result["tensors"] = std::move(tensors);
  return result;
}

std::string sha256_of_tensors(const Checkpoint& checkpoint) {
  Sha256 sha;
  for (const RawTensor& tensor : checkpoint.tensors) {
    sha.update(std::as_bytes(std::span(tensor.name)));
    sha.update(tensor.bytes);
  }
  return sha.hex();
}

nlohmann::ordered_json describe_file(const std::filesystem::path& path) {
  std::string digest = sha256_of_file(path);  // first: it says what is wrong with the file
  return {
      {"file", path.string()}, {"bytes", std::filesystem::file_size(path)}, {"sha256", std::move(digest)}};
}

std::string bytes_text(double bytes) {
  const char* units[] = {"bytes", "kB", "MB", "GB", "TB"};
  size_t unit = 0;
  for (; bytes >= 1000 && unit + 1 < std::size(units); ++unit) bytes /= 1000;
  return unit == 0 ? fmt::format("{:.0f} bytes", bytes) : fmt::format("{:.1f} {}", bytes, units[unit]);
}

std::string count_text(double count) {
  if (count >= 1e9) return fmt::format("{:.2f} billion", count / 1e9);
  if (count >= 1e6) return fmt::format("{:.2f} million", count / 1e6);
  return fmt::format("{:.0f}", count);
}

std::string description_text(const nlohmann::ordered_json& description) {
  std::string text = fmt::format("{} ({}) from {}\n", description.value("part", ""),
                                 description.value("format", ""), description.value("source", ""));
  const auto line = [&](std::string_view name, const std::string& value) {
    text += fmt::format("  {:<14}{}\n", name, value);
  };
  line("parameters", fmt::format("{} ({})", description["parameters"].dump(),
                                 count_text(description["parameters"].get<double>())));
  line("bytes", bytes_text(description["bytes"].get<double>()));
  for (auto& [name, sum] : description["dtypes"].items())
    line(name, fmt::format("{} tensors, {} elements, {}", sum["tensors"].dump(), sum["elements"].dump(),
                           bytes_text(sum["bytes"].get<double>())));
  for (auto& [key, value] : description["config"].items())
    line("", fmt::format("{} = {}", key, value.is_string() ? value.get<std::string>() : value.dump()));
  if (description.contains("tensors"))
    for (const auto& tensor : description["tensors"])
      text +=
          fmt::format("  {} {} {}\n", tensor["name"].get<std::string>(), tensor["dtype"].get<std::string>(),
                      shape_text(tensor["shape"].get<std::vector<int64_t>>()));
  return text;
}

}  // namespace dalle1::weights
