"""The transformer and its loss (DALL-E paper, 2.2, appendix B); weights are a dictionary under the product's names."""

import torch
import torch.nn.functional as F

ACTIVATIONS = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "silu": F.silu,
    "relu_squared": lambda x: F.relu(x).square(),
}
SLOWEST_TURN = 0.02  # radians a cell of an axis' last pair


class Transformer:
    """`attend(q, k, v, mask)` over [B, H, T, D] has the masks that its maker made, one for each layer."""

    def __init__(self, config, attend, compute=torch.float32):
        self.config, self.attend, self.compute = config, attend, compute
        self.activation = ACTIVATIONS[config["activation"]]

    def in_compute_type(self, w):
        """Norms stay f32; all other parameters are rounded where products are."""
        return {name: tensor if "norm." in name else tensor.to(self.compute) for name, tensor in w.items()}

    def embed(self, w, text, image):
        words = F.embedding(text, w["text_embedding.weight"]) + w["text_position.weight"][: text.shape[1]]
        place = w["image_row.weight"][:, None] + w["image_column.weight"]
        cells = F.embedding(image, w["image_embedding.weight"]) + place.flatten(0, 1)
        x = torch.cat([words, cells], 1)
        if self.config["embedding_norm"]:
            x = self.over_rms(x)
        return x.to(self.compute)

    def over_rms(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.config["norm_eps"])

    def turned(self, x):
        """[B, H, T, D] of all positions by rotary embeddings of row and column; the text's stay as they are."""
        grid, pairs = self.config["grid"], x.shape[-1] // 2
        frequency = SLOWEST_TURN ** (torch.arange(pairs // 2, dtype=torch.float64) / (pairs // 2))
        cell = torch.arange(grid * grid)
        angles = torch.cat([torch.outer(cell // grid, frequency), torch.outer(cell % grid, frequency)], 1)
        angles = F.pad(angles, (0, 0, x.shape[2] - grid * grid, 0))
        cosine, sine = (f(angles).to(x.device, torch.float32) for f in (torch.cos, torch.sin))
        a, b = x[..., :pairs].float(), x[..., pairs:].float()
        return torch.cat([a * cosine - b * sine, a * sine + b * cosine], -1).to(x.dtype)

    def norm(self, w, name, x):
        width, epsilon = x.shape[-1:], self.config["norm_eps"]
        return F.layer_norm(x.float(), width, w[name + ".weight"], w[name + ".bias"], epsilon).to(x.dtype)

    def branch_end(self, w, name, post_norm, x, training):
        x = linear(w, name, x)
        if self.config["sandwich_norm"]:
            x = self.norm(w, post_norm, x)
        return F.dropout(x, self.config["dropout"], training) if training and self.config["dropout"] > 0 else x

    def block(self, w, mask, x, training):
        """[B, T, C] through one layer; its parameters' names are those behind "layers.N."."""
        w = self.in_compute_type(w)
        qkv = linear(w, "attention.qkv", self.norm(w, "attention_norm", x))
        q, k, v = (part.unflatten(-1, (self.config["heads"], -1)).transpose(1, 2) for part in qkv.chunk(3, -1))
        if self.config["qk_norm"]:
            q, k = self.over_rms(q), self.over_rms(k)
        if self.config["rotary"]:
            q, k = self.turned(q), self.turned(k)
        attended = self.attend(q, k, v, mask).transpose(1, 2).flatten(2)
        x = x + self.branch_end(w, "attention.output", "attention_post_norm", attended, training)
        inner = self.activation(linear(w, "mlp.up", self.norm(w, "mlp_norm", x)))
        return x + self.branch_end(w, "mlp.down", "mlp_post_norm", inner, training)

    def trunk(self, w, masks, text, image, training=False):
        """[B, S + cells, C] of text ids [B, S] with padding tokens in place and image tokens [B, cells]."""
        x = self.embed(w, text, image)
        for layer, mask in enumerate(masks):
            x = self.block(behind(f"layers.{layer}.", w), mask, x, training)
        return x

    def final_norms(self, w, x):
        x = self.norm(w, "final_norm", x)
        return self.norm(w, "head_norm", x) if self.config["head_norm"] else x

    def logits(self, w, masks, text, image):
        """[B, T, classes]: of text, of padding positions, of the image, in this order."""
        x = self.final_norms(w, self.trunk(w, masks, text, image))
        return linear(self.in_compute_type(ends(w)), "head", x).float()

    def loss(self, w, masks, text, image, text_padding=False, training=False):
        """Text 1, image image_weight; and their mean nats: [3]. Without `text_padding` only the first padding position
        of a caption is a target. The last cell predicts nothing; it is there so that the length stays round."""
        nats = self.nats(ends(w), self.trunk(w, masks, text, image, training), text, image, text_padding)
        weight = self.config["image_weight"]
        return torch.stack([(nats[0] + weight * nats[1]) / (1 + weight), *nats])

    def nats(self, w, x, text, image, text_padding):
        """Mean cross entropy of the targets of text and image, [2]."""
        w = self.in_compute_type(w)
        hidden = self.final_norms(w, x)
        slots, classes = text.shape[1], self.config["text_vocab"] + self.config["text_length"]
        head, bias = w["head.weight"], w["head.bias"]
        text_rows = F.linear(hidden[:, : slots - 1], head[:classes], bias[:classes])
        losses = F.cross_entropy(text_rows.float().flatten(0, 1), text[:, 1:].flatten(), reduction="none")
        counted = self.counted(text, text_padding).flatten()
        text_nats = (losses * counted).sum() / counted.sum().clamp(min=1)
        image_rows = F.linear(hidden[:, slots - 1 : -1], head[classes:], bias[classes:])
        return torch.stack([text_nats, F.cross_entropy(image_rows.float().flatten(0, 1), image.flatten())])

    def counted(self, text, text_padding):
        """f32 [B, S - 1]: whether text position p + 1 is a target."""
        if text_padding:
            return torch.ones_like(text[:, 1:], dtype=torch.float32)
        padding = (text[:, :-1] >= self.config["text_vocab"]).long()  # before the target
        padding[:, 0] = 0  # the first token is no target
        return (padding.cumsum(1) == 0).float()


def behind(prefix, w):
    """The parameters whose names begin so, by the rest of their names."""
    return {name[len(prefix) :]: tensor for name, tensor in w.items() if name.startswith(prefix)}


def ends(w):
    """The parameters that come behind the last layer."""
    return {name: tensor for name, tensor in w.items() if name.startswith(("final_norm.", "head"))}


def linear(w, name, x):
    return F.linear(x, w[name + ".weight"], w[name + ".bias"])
