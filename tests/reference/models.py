"""dVAE and CLIP in PyTorch, as plain as they can be written.

Weights are dictionaries of tensors under the names of the product's files.
"""

import math

import torch
import torch.nn.functional as F


def as_tensors(arrays):
    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}


# The discrete VAE (OpenAI's graph): pictures [B, 3, H, W] in [0, 1], codes [B, h, w].


def dvae_logits(w, config, pictures):
    x = conv(w, "encoder.blocks.input", 0.8 * pictures + 0.1)
    for group in range(1, config["groups"] + 1):
        if group > 1:
            x = F.max_pool2d(x, 2)
        x = residual_group(w, f"encoder.blocks.group_{group}", config, x)
    return conv(w, "encoder.blocks.output.conv", F.relu(x))


def dvae_stats(w, config, codes):
    """[B, 6, H, W]: means and ln b of the logit-Laplace distribution."""
    x = conv(w, "decoder.blocks.input", F.one_hot(codes, config["codes"]).permute(0, 3, 1, 2).float())
    for group in range(1, config["groups"] + 1):
        if group > 1:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        x = residual_group(w, f"decoder.blocks.group_{group}", config, x)
    return conv(w, "decoder.blocks.output.conv", F.relu(x))


def conv(w, name, x):
    kernel = w[name + ".w"]
    return F.conv2d(x, kernel, w[name + ".b"], padding=(kernel.shape[2] - 1) // 2)


def residual_group(w, name, config, x):
    for block in range(1, config["blocks_per_group"] + 1):
        path = f"{name}.block_{block}"
        shortcut = conv(w, path + ".id_path", x) if path + ".id_path.w" in w else x
        for i in range(1, 5):
            x = conv(w, f"{path}.res_path.conv_{i}", F.relu(x))
        x = shortcut + config["post_gain"] * x
    return x


# CLIP: pictures [B, 3, R, R] normalised, ids [B, T] with start, text, end, zeros.


def norm(w, name, x):
    return F.layer_norm(x, x.shape[-1:], w[name + ".weight"], w[name + ".bias"])


def linear(w, name, x):
    return F.linear(x, w[name + ".weight"], w[name + ".bias"])


def attend(q, k, v, heads, mask=None):
    """[B, T, C] each; softmax(q k / sqrt(D)) v in each head, over the keys that the mask lets through."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)


def clip_image(w, config, pictures):
    w = {name[len("visual.") :]: tensor for name, tensor in w.items() if name.startswith("visual.")}
    if config["vision_patch_size"]:
        return vision_transformer(w, config, pictures)
    return modified_resnet(w, config, pictures)


def vision_transformer(w, config, pictures):
    x = F.conv2d(pictures, w["conv1.weight"], stride=config["vision_patch_size"]).flatten(2).transpose(1, 2)
    first = w["class_embedding"].expand(len(x), 1, -1)
    x = norm(w, "ln_pre", torch.cat([first, x], 1) + w["positional_embedding"])
    for i in range(config["vision_layers"]):
        x = clip_block(w, f"transformer.resblocks.{i}", x, config["vision_width"] // 64)
    return norm(w, "ln_post", x[:, 0]) @ w["proj"]


def conv_norm(w, convolution, batch_norm, x, stride=1):
    kernel = w[convolution + ".weight"]
    x = F.conv2d(x, kernel, stride=stride, padding=(kernel.shape[2] - 1) // 2)
    statistics = (w[f"{batch_norm}.{name}"] for name in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, *statistics)


def bottleneck(w, name, x, stride):
    pool = (lambda y: F.avg_pool2d(y, stride)) if stride > 1 else lambda y: y
    y = F.relu(conv_norm(w, name + ".conv1", name + ".bn1", x))
    y = pool(F.relu(conv_norm(w, name + ".conv2", name + ".bn2", y)))
    y = conv_norm(w, name + ".conv3", name + ".bn3", y)
    if name + ".downsample.0.weight" in w:
        x = conv_norm(w, name + ".downsample.0", name + ".downsample.1", pool(x))
    return F.relu(x + y)


def modified_resnet(w, config, x):
    for i, stride in ((1, 2), (2, 1), (3, 1)):
        x = F.relu(conv_norm(w, f"conv{i}", f"bn{i}", x, stride))
    x = F.avg_pool2d(x, 2)
    for stage, blocks in enumerate(config["vision_layers"], 1):
        for i in range(blocks):
            x = bottleneck(w, f"layer{stage}.{i}", x, 2 if stage > 1 and i == 0 else 1)
    x = x.flatten(2).transpose(1, 2)
    x = torch.cat([x.mean(1, keepdim=True), x], 1) + w["attnpool.positional_embedding"]
    q, k, v = (linear(w, f"attnpool.{name}_proj", x) for name in "qkv")
    return linear(w, "attnpool.c_proj", attend(q[:, :1], k, v, config["vision_width"] * 32 // 64))[:, 0]


def clip_block(w, name, x, heads, mask=None):
    projected = F.linear(norm(w, name + ".ln_1", x), w[name + ".attn.in_proj_weight"], w[name + ".attn.in_proj_bias"])
    x = x + linear(w, name + ".attn.out_proj", attend(*projected.chunk(3, -1), heads, mask))
    inner = linear(w, name + ".mlp.c_fc", norm(w, name + ".ln_2", x))
    return x + linear(w, name + ".mlp.c_proj", inner * torch.sigmoid(1.702 * inner))


def clip_text(w, config, ids):
    x = w["token_embedding.weight"][ids] + w["positional_embedding"][: ids.shape[1]]
    causal = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).tril()
    for i in range(config["transformer_layers"]):
        x = clip_block(w, f"transformer.resblocks.{i}", x, config["transformer_heads"], causal)
    end = ids.argmax(1) if config.get("end_token", -1) < 0 else (ids == config["end_token"]).long().argmax(1)
    return norm(w, "ln_final", x)[torch.arange(len(x)), end] @ w["text_projection"]
