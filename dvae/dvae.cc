#include "dvae/dvae.h"

#include "core/config/fields.h"
#include "core/ops/argmax.h"
#include "core/ops/movement.h"
#include "dvae/discrete_vae.h"
#include "dvae/openai_dvae.h"
#include "dvae/vqgan.h"

namespace dalle1::dvae {

Tensor Dvae::encode_indices(Context& context, const Tensor& images) {
  Context inference = context.untaped();
  const Tensor logits = encode(inference, images);
  const Tensor rows = ops::permute(inference, logits, {0, 2, 3, 1});
  const auto best = ops::argmax(rows.view({rows.numel() / codes(), codes()}));
  check(ops::all_finite(best.values), ErrorKind::model, "the encoder's logits are not finite");
  return best.indices.view({rows.dim(0), rows.dim(1), rows.dim(2)});
}

std::unique_ptr<Dvae> make_dvae(const nlohmann::json& config, Device& device, const Precision& precision) {
  const auto kind = config::named("dVAE configuration",
                                  [&] { return value_or(config, "kind", std::string(), ErrorKind::model); });
  if (kind == "openai")
    return std::make_unique<OpenAiDvae>(device, OpenAiConfig::from_json(config), precision);
  if (kind == "vqgan") return std::make_unique<Vqgan>(device, VqganConfig::from_json(config), precision);
  if (kind == "discrete_vae")
    return std::make_unique<DiscreteVae>(device, DiscreteVaeConfig::from_json(config), precision);
  fail(ErrorKind::model,
       "unknown kind of dVAE '{}' in its configuration; known are openai, vqgan and discrete_vae", kind);
}

}  // namespace dalle1::dvae
