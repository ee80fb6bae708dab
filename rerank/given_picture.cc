#include "rerank/given_picture.h"

#include <algorithm>

#include "core/image/resample.h"

namespace dalle1::rerank {
namespace {

// Metadata name only what was asked for.
bool is_unset(const Json& value) {
  const auto* text = value.get_ptr<const std::string*>();
  return value.empty() || (text && text->empty()) || value == 0 || value == false;
}

}  // namespace

FittedPicture::FittedPicture(GivenPicture given, const ModelSet& models) : given_(std::move(given)) {
  auto& decoder = models.decoder();
  const auto rgb = to_rgb(given_.picture);
  const auto tokens = decoder.encode(fit_square(rgb, decoder.encoded_size()));
  picture_ = fit_square(rgb, decoder.picture_size());
  for (const auto& redraw : given_.redraws) forced_.push_back(forced_cells(redraw, tokens));
}

std::unique_ptr<CandidateSource> FittedPicture::source(const ModelSet& models,
                                                       const GenerationOptions& options,
                                                       const std::string& prompt) const {
  std::vector<std::unique_ptr<CandidateSource>> sources;
  for (const auto& forced : forced_) sources.push_back(models.source(options, prompt, forced));
  if (sources.size() == 1) return std::move(sources.front());
  return std::make_unique<AlternatingSource>(std::move(sources));
}

void FittedPicture::go_into(PipelineOptions& pipeline) const {
  for (const auto& [name, value] : given_.options.items()) {
    if (is_unset(value)) continue;
    auto as_in_0_1 = name;  // which named them in pictures as on the command line
    std::replace(as_in_0_1.begin(), as_in_0_1.end(), '_', '-');
    pipeline.info.extra[as_in_0_1] = value;
  }
  pipeline.given = picture_;
  if (given_.paste)
    pipeline.finish_picture = [this](const Image& generated, uint32_t candidate) {
      return paste_kept(picture_, generated, given_.redraws[candidate % given_.redraws.size()]);
    };
}

}  // namespace dalle1::rerank
