// The table of commands. A new command is its own file and two lines here.
#include "tools/program/command.h"

namespace dalle1::tools {

Command ablate_command();
Command attention_command();
Command bench_clip_command();
Command bench_decode_command();
Command bench_dvae_command();
Command bench_ops_command();
Command bench_train_command();
Command caption_command();
Command classify_command();
Command complete_command();
Command convert_command();
Command decode_command();
Command doctor_command();
Command embed_command();
Command encode_command();
Command eval_command();
Command grid_command();
Command info_command();
Command inspect_command();
Command logits_command();
Command manual_command();
Command masks_command();
Command rank_command();
Command recaption_command();
Command reconstruct_command();
Command sample_command();
Command score_command();
Command serve_command();
Command shard_command();
Command tokenize_command();
Command train_captioner_command();
Command train_clip_command();
Command train_dvae_command();
Command train_tokenizer_command();
Command train_transformer_command();
Command vary_command();

namespace {

Command on_ranks(Command command) {
  command.on_ranks = true;
  return command;
}

}  // namespace

std::vector<Command> all_commands() {
  return {
      on_ranks(sample_command()),
      on_ranks(complete_command()),
      on_ranks(vary_command()),
      serve_command(),
      rank_command(),
      caption_command(),
      classify_command(),
      embed_command(),
      encode_command(),
      decode_command(),
      reconstruct_command(),
      grid_command(),
      eval_command(),
      score_command(),
      info_command(),
      convert_command(),
      inspect_command(),
      tokenize_command(),
      logits_command(),
      masks_command(),
      attention_command(),
      shard_command(),
      recaption_command(),
      on_ranks(train_dvae_command()),
      on_ranks(train_clip_command()),
      train_tokenizer_command(),
      on_ranks(train_transformer_command()),
      on_ranks(train_captioner_command()),
      ablate_command(),
      bench_decode_command(),
      bench_train_command(),
      bench_dvae_command(),
      bench_ops_command(),
      bench_clip_command(),
      on_ranks(doctor_command()),
      manual_command(),
  };
}

}  // namespace dalle1::tools
