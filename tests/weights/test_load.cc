#include "tests/weights/files.h"
#include "weights/load.h"
#include "weights/open.h"
#include "weights/pack.h"

using namespace dalle1;
using namespace dalle1::test;
using namespace dalle1::weights;

namespace {

class Toy final : public Module {
 public:
  explicit Toy(Device& device, int64_t rows = 3) {
    weight_ = Tensor::zeros(device, {rows, 4});
    bias_ = Tensor::zeros(device, {rows});
  }
  void visit(const ParameterVisitor& visitor) override {
    visitor("layer.weight", weight_);
    visitor("layer.bias", bias_);
  }
  void fill() {
    visit([](const std::string&, Tensor& parameter) {
      for (int64_t i = 0; i < parameter.numel(); ++i)
        parameter.floats()[i] = 0.37f * static_cast<float>(i) - 1.3f;
    });
  }
  std::vector<float> values() {
    std::vector<float> all;
    visit([&](const std::string&, Tensor& parameter) {
      for (float value : parameter.to_floats()) all.push_back(value);
    });
    return all;
  }

 private:
  Tensor weight_, bias_;
};

}  // namespace

TEST_CASE("load: a saved model loads into another, in every stored type") {
  ScratchDir scratch;
  auto device = make_cpu_device(1);
  Toy source(*device);
  source.fill();
  const std::pair<DType, double> types[] = {
      {DType::f32, 0}, {DType::f16, 0x1p-11}, {DType::bf16, 0x1p-8}, {DType::i8, 0.5 / 127 + 1e-6}};
  for (auto [dtype, tolerance] : types) {
    save_parameters(source, scratch / "part.safetensors", "transformer", {{"layers", 1}}, dtype);
    Checkpoint checkpoint = open_checkpoint({scratch / "part.safetensors"}, nullptr, "transformer");
    CHECK(checkpoint.config == nlohmann::json({{"layers", 1}}));
    CHECK(checkpoint.parameter_count() == 15);
    Toy copy(*device);
    load_parameters(copy, checkpoint);
    const auto expected = source.values(), values = copy.values();
    REQUIRE(values.size() == expected.size());
    for (size_t i = 0; i < values.size(); ++i)
      CHECK(std::fabs(values[i] - expected[i]) <= tolerance * 3.0);  // the largest weight is 2.77
    for (size_t i = 12; i < values.size(); ++i) CHECK(values[i] == expected[i]);
  }
}

TEST_CASE("load: mismatch is an error that names every tensor, and changes nothing") {
  ScratchDir scratch;
  auto device = make_cpu_device(1);
  Toy source(*device);
  source.fill();
  save_parameters(source, scratch / "part.safetensors", "transformer", nlohmann::json::object());
  const Checkpoint checkpoint = open_checkpoint({scratch / "part.safetensors"});
  Toy target(*device);
  const auto refusal = [&](const Checkpoint& c, Toy& model) {
    return refusal_of([&] { load_parameters(model, c); });
  };

  Checkpoint missing = checkpoint;
  missing.tensors.erase(missing.tensors.begin());
  CHECK(has(refusal(missing, target), "1 missing: layer.weight"));
  Checkpoint extra = checkpoint;
  extra.tensors.push_back(extra.tensors[0]);
  extra.tensors.back().name = "stranger";
  CHECK(has(refusal(extra, target), "1 extra: stranger"));
  extra.tensors.back().name = "layer.weight.scale";  // a scale of what is not packed
  CHECK(has(refusal(extra, target), "1 extra: layer.weight.scale"));
  CHECK(target.values() == std::vector<float>(15, 0.f));
  Toy larger(*device, 5);
  CHECK(has(refusal(checkpoint, larger),
            "2 of another shape: layer.weight [3, 4] (the model has [5, 4]), layer.bias"));
  Checkpoint both = missing;
  both.tensors.push_back(extra.tensors.back());
  CHECK(has(refusal(both, target), "1 missing: layer.weight; 1 extra: layer.weight.scale"));
}
