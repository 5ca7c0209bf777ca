// Any text as each of the files that people write, and as the JSON form of the input section.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cluster/routes.h"
#include "model/model_config.h"

using namespace tideline;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto config = parse_model_config(text, "model.yaml"); config && config->input) {
    const auto again = parse_input_section_json(write_input_section(*config->input));
    if (!again || *again != *config->input) std::abort();
  }
  if (const auto config = parse_model_config(text, "model.yaml"); config && config->output) {
    const auto again = parse_output_steps(write_output_steps(config->output->steps));
    if (!again || *again != config->output->steps) std::abort();
  }
  if (const auto section = parse_input_section_json(text)) {
    const auto again = parse_input_section_json(write_input_section(*section));
    if (!again || *again != *section) std::abort();
  }
  if (const auto cluster = parse_cluster(text, "cluster.yaml")) {
    const auto again = parse_cluster(write_cluster(*cluster), "again.yaml");
    if (!again || *again != *cluster) std::abort();
    if (!routes_of(*cluster)) std::abort();
  }
  return 0;
}
