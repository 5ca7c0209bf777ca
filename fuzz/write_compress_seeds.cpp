// write_compress_seeds DIR: for each variant of compress_variants.h an update and a state, as compress_fuzz reads them.
#include <fstream>
#include <string>

#include "compress_variants.h"

using namespace tideline::compress;

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  for (std::size_t i = 0; i < variants().size(); ++i) {
    const auto compressor = make_variant(i);
    std::vector<float> gradient(compressor->numbers());
    for (std::size_t j = 0; j < gradient.size(); ++j) gradient[j] = static_cast<float>(static_cast<int>(j * 37 % 19) - 9) / 8;
    const auto update = compressor->encode(gradient, {.step = 1, .seed = 2, .loss = 3.0F});
    if (!update) return 1;
    for (const auto& [what, bytes] : {std::pair{"update", *update}, {"state", compressor->state()}}) {
      std::ofstream file(std::string(argv[1]) + "/" + std::to_string(i) + "-" + variants()[i].name + "-" + what,
                         std::ios::binary);
      file.put(static_cast<char>(i));
      file.put(static_cast<char>(what[0] == 's'));
      file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    }
  }
  return 0;
}
