#include "weights/load.h"

#include <unordered_set>

#include "weights/pack.h"
#include "weights/small_json.h"

namespace dalle1::weights {
namespace {

/// Collects names for one line of an error.
class NameList {
 public:
  void add(const std::string& name) {
    if (++count_ <= most_shown) text_ += (text_.empty() ? "" : ", ") + name;
  }
  size_t count() const { return count_; }
  std::string text() const {
    return count_ <= most_shown ? text_ : fmt::format("{} and {} more", text_, count_ - most_shown);
  }

 private:
  static constexpr size_t most_shown = 50;
  size_t count_ = 0;
  std::string text_;
};

void copy_from_host(Tensor& parameter, const void* values) {
  parameter.device().copy_from_host(parameter.raw(), values, parameter.bytes());
  parameter.touch();
}

void fill(Tensor& parameter, const RawTensor& tensor, const RawTensor* scale) {
  check(parameter.layout() == Layout::plain && is_floating(parameter.dtype()), ErrorKind::internal,
        "parameter '{}' is not a plain floating tensor", tensor.name);
  // Stored as wanted: from the mapped file to the device as it is.
  if (tensor.dtype == parameter.dtype() && tensor.bytes.size() == parameter.bytes())
    return copy_from_host(parameter, tensor.bytes.data());
  const std::vector<float> values = to_floats(tensor, scale);
  if (parameter.dtype() == DType::f32) return copy_from_host(parameter, values.data());
  copy_from_host(parameter, pack(tensor.name, values, tensor.shape, parameter.dtype()).bytes.data());
}

/// Whether a visited parameter is the scale of the i8 one that was visited before it.
class ScaleOfBefore {
 public:
  bool operator()(const std::string& name, DType dtype) {
    const bool yes = !before_.empty() && name == before_ + ".scale";
    before_ = dtype == DType::i8 ? name : "";
    return yes;
  }

 private:
  std::string before_;
};

}  // namespace

void check_tensors(const std::vector<TensorSpec>& expected, const Checkpoint& checkpoint) {
  TensorIndex index(checkpoint.tensors);
  NameList missing, extra, misshaped;
  std::unordered_set<std::string_view> wanted;
  for (const TensorSpec& spec : expected) {
    wanted.insert(spec.name);
    const RawTensor* tensor = index.find(spec.name);
    if (!tensor)
      missing.add(spec.name);
    else if (tensor->shape != spec.shape)
      misshaped.add(fmt::format("{} {} (the model has {})", spec.name, shape_text(tensor->shape),
                                shape_text(spec.shape)));
  }
  for (const RawTensor& tensor : checkpoint.tensors)
    if (!wanted.contains(tensor.name) && !index.is_scale_of_packed(tensor)) extra.add(printable(tensor.name));
  std::string problems;
  auto report = [&](std::string_view what, const NameList& names) {
    if (names.count() == 0) return;
    problems += fmt::format("{}{} {}: {}", problems.empty() ? "" : "; ", names.count(), what, names.text());
  };
  report("missing", missing);
  report("extra", extra);
  report("of another shape", misshaped);
  check(problems.empty(), ErrorKind::model, "{}: the tensors do not fit the configuration: {}",
        checkpoint.source, problems);
}

std::vector<TensorSpec> parameters_of(const VisitParameters& visit) {
  std::vector<TensorSpec> specs;
  ScaleOfBefore is_scale;
  visit([&](const std::string& name, Tensor& parameter) {
    if (is_scale(name, parameter.dtype())) return;
    specs.push_back({name, parameter.dtype(), parameter.shape().extents()});
  });
  return specs;
}

void load_parameters(const VisitParameters& visit, const Checkpoint& checkpoint) {
  TensorIndex index(checkpoint.tensors);
  check_tensors(parameters_of(visit), checkpoint);
  ScaleOfBefore is_scale;
  Packed rows;  // of the i8 parameter that was filled last
  visit([&](const std::string& name, Tensor& parameter) {
    if (is_scale(name, parameter.dtype())) return copy_from_host(parameter, rows.scale.data());
    const RawTensor *tensor = index.find(name), *scale = index.find(name + ".scale");
    if (parameter.dtype() != DType::i8) return fill(parameter, *tensor, scale);
    rows = to_rows(*tensor, scale);
    copy_from_host(parameter, rows.bytes.data());
  });
}

void save_parameters(const VisitParameters& visit, const std::filesystem::path& file, const std::string& part,
                     const nlohmann::json& config, DType dtype) {
  std::vector<PartTensor> tensors;
  visit([&](const std::string& name, Tensor& parameter) {
    const auto& shape = parameter.shape().extents();
    tensors.push_back({name, shape, stored_dtype(shape, DType::f32, dtype), {}, [handle = parameter] {
                         return handle.to_floats();
                       }});
  });
  write_part_tensors(file, tensors, part_metadata(part, config));
}

}  // namespace dalle1::weights
