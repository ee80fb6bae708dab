// CLIPScore and the Frechet distance against published code and closed forms.
#include <doctest/doctest.h>

#include <cmath>

#include "clip/clip.h"
#include "clip/picture_scores.h"
#include "core/data/npy.h"
#include "core/error.h"
#include "core/random/philox.h"
#include "tests/support/golden.h"

namespace dalle1::test {
namespace {

// [n, width]
std::vector<float> normal_features(int n, int width, uint32_t index) {
  RandomStream random(3, Stream::test, index);
  std::vector<float> features(static_cast<size_t>(n * width));
  for (float& value : features) value = random.normal();
  return features;
}

Tensor tensor_of(Device& device, const NpyArray& array) {
  return Tensor::from(device, Shape(array.shape), array.to_f32());
}

}  // namespace

TEST_CASE("CLIPScore equals the published code's, of random weights") {
  const auto device = make_cpu_device(1);
  const auto pictures = read_npy(golden("openai_clip_vit/small_image_features.npy"));
  const auto texts = read_npy(golden("openai_clip_vit/small_text_features.npy"));
  const auto expected = read_npy(golden("clipscore/small_scores.npy"));  // [texts, pictures]
  REQUIRE(expected.shape == std::vector<int64_t>{texts.shape[0], pictures.shape[0]});
  const auto values = expected.to_f32();
  const auto width = static_cast<size_t>(pictures.shape[1]);
  const auto all_pictures = pictures.to_f32(), all_texts = texts.to_f32();
  int below = 0;
  for (size_t t = 0; t < static_cast<size_t>(texts.shape[0]); ++t) {
    std::vector<float> same;  // the text for each picture
    for (int64_t i = 0; i < pictures.shape[0]; ++i)
      same.insert(same.end(), all_texts.begin() + static_cast<std::ptrdiff_t>(t * width),
                  all_texts.begin() + static_cast<std::ptrdiff_t>((t + 1) * width));
    const auto cosines = clip::paired_cosines(tensor_of(*device, pictures),
                                              Tensor::from(*device, Shape(pictures.shape), same));
    for (size_t i = 0; i < cosines.size(); ++i) {
      CHECK(clip::clip_score(cosines[i]) ==
            doctest::Approx(values[t * cosines.size() + i]).epsilon(1e-5).scale(1));
      below += cosines[i] < 0;
    }
  }
  CHECK(below > 0);  // so that some are cut off
}

TEST_CASE("the Frechet distance equals the published code's, also of fewer pictures than dimensions") {
  for (const char* set : {"many", "few"}) {
    CAPTURE(set);
    const auto stored = [&](const std::string& what) {
      return read_npy(golden(std::string("clipscore/frechet_") + set + "_" + what + ".npy"));
    };
    const auto a = stored("a"), b = stored("b");
    const double found = clip::frechet_distance(a.to_f32(), b.to_f32(), a.shape[1]);
    CHECK(found == doctest::Approx(stored("distance").to_f32()[0]).epsilon(1e-4));
  }
}

TEST_CASE("the Frechet distance of normal distributions in closed form") {
  const auto a = normal_features(40, 7, 0), b = normal_features(31, 7, 1);
  CHECK(clip::frechet_distance(a, a, 7) < 1e-9);
  CHECK(clip::frechet_distance(a, b, 7) == doctest::Approx(clip::frechet_distance(b, a, 7)));
  auto shifted = a;
  for (size_t i = 0; i < shifted.size(); ++i) shifted[i] += i % 7 == 2 ? 3.0f : 0.0f;
  CHECK(clip::frechet_distance(a, shifted, 7) == doctest::Approx(9).epsilon(1e-4));
  // Twice as wide: tr(S + 4 S - 2 * 2 S) = tr S, and the mean is twice as far.
  auto wide = a;
  for (float& value : wide) value *= 2;
  double trace = 0, far = 0;
  for (size_t c = 0; c < 7; ++c) {
    double sum = 0, squares = 0;
    for (size_t i = c; i < a.size(); i += 7) sum += a[i], squares += double{a[i]} * a[i];
    trace += (squares - sum * sum / 40) / 39;
    far += sum / 40 * sum / 40;
  }
  CHECK(clip::frechet_distance(a, wide, 7) == doctest::Approx(trace + far).epsilon(1e-5));
  CHECK_THROWS_WITH_AS(clip::frechet_distance(a, std::span(b).first(7), 7),
                       doctest::Contains("two pictures or more"), Error);
}

}  // namespace dalle1::test
