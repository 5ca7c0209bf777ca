#include "session/answer_json.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "image/image.h"
#include "output/boxes.h"
#include "output/text_boxes.h"

namespace tideline {
namespace {

using Json = nlohmann::ordered_json;

template <typename T>
std::vector<T> values_of(const Tensor& tensor) {
  std::vector<T> values(tensor.data.size() / sizeof(T));
  if (!values.empty()) std::memcpy(static_cast<void*>(values.data()), tensor.data.data(), values.size() * sizeof(T));
  return values;
}

// Neither JSON nor a person has a use for what is no number.
Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

class Writer {
 public:
  Writer(const LoadedModel& loaded, const std::vector<Tensor>& outputs, const std::optional<SeenPicture>& picture)
      : loaded_(loaded), outputs_(outputs), picture_(picture) {}

  std::optional<std::string> write() {
    if (loaded_.chain.output_steps.empty()) return std::nullopt;
    const OutputStep& last = loaded_.chain.output_steps.back();
    switch (last.kind) {
      case OutputKind::kBoxes:
      case OutputKind::kNms: boxes(); break;
      case OutputKind::kTextBoxes: text_boxes(); break;
      case OutputKind::kTopk: topk(last.k); break;
      case OutputKind::kArgmax: argmax(); break;
      default: return std::nullopt;
    }
    if (json_.empty()) return std::nullopt;
    return json_.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  }

 private:
  void add_label(Json& entry, std::int64_t label) const {
    if (label >= 0 && static_cast<std::size_t>(label) < loaded_.labels.size())
      entry["label"] = loaded_.labels[static_cast<std::size_t>(label)];
  }

  // In the picture and not beyond its edges; as it is where there is no picture.
  double x_of(double x) const {
    return picture_ ? std::clamp((x - picture_->frame.offset_x) / picture_->frame.scale_x, 0.0, 1.0 * picture_->width) : x;
  }
  double y_of(double y) const {
    return picture_ ? std::clamp((y - picture_->frame.offset_y) / picture_->frame.scale_y, 0.0, 1.0 * picture_->height) : y;
  }

  void add_coordinates() {
    json_["coordinates"] = picture_ ? "picture" : "model_input";
    if (picture_) json_["picture"] = {{"width", picture_->width}, {"height", picture_->height}};
  }

  void boxes() {
    add_coordinates();
    json_["boxes"] = Json::array();
    for (const Box& box : values_of<Box>(outputs_[0])) {
      Json entry{{"x1", number(x_of(box.x1))}, {"y1", number(y_of(box.y1))}, {"x2", number(x_of(box.x2))},
                 {"y2", number(y_of(box.y2))}, {"score", number(box.score)}, {"class", static_cast<std::int64_t>(box.label)}};
      add_label(entry, static_cast<std::int64_t>(box.label));
      json_["boxes"].push_back(std::move(entry));
    }
  }

  // How many pixels of the model's input one of the map is: a detector may look at a quarter of them.
  std::array<double, 2> map_scale() const {
    const Chain& chain = loaded_.chain;
    const std::vector<std::int64_t>& map = chain.cuts[chain.block_count() - 1].tensors[0].shape;
    if (!chain.input || !picture_ || map.size() < 2 || map.back() <= 0 || map[map.size() - 2] <= 0) return {1, 1};
    for (const TensorSpec& spec : chain.cuts[kInputSteps].tensors) {
      if (spec.name != chain.input->tensor || spec.shape.size() != 4) continue;
      const std::size_t height = chain.input->layout == ImageLayout::kNchw ? 2 : 1;
      return {static_cast<double>(spec.shape[height + 1]) / static_cast<double>(map.back()),
              static_cast<double>(spec.shape[height]) / static_cast<double>(map[map.size() - 2])};
    }
    return {1, 1};
  }

  void text_boxes() {
    add_coordinates();
    const auto [scale_x, scale_y] = map_scale();
    json_["boxes"] = Json::array();
    for (const TextBox& box : values_of<TextBox>(outputs_[0])) {
      Json corners = Json::array();
      for (std::size_t i = 0; i < 4; ++i)
        corners.push_back({number(x_of(box.corners[2 * i] * scale_x)), number(y_of(box.corners[2 * i + 1] * scale_y))});
      json_["boxes"].push_back({{"corners", std::move(corners)}, {"score", number(box.score)}});
    }
  }

  // One row of classes by itself, several as a list of rows.
  void set_rows(std::vector<Json> rows) {
    if (rows.size() == 1)
      json_["classes"] = std::move(rows.front());
    else
      json_["rows"] = rows;
  }

  void topk(std::size_t k) {
    const auto scores = values_of<float>(outputs_[0]);
    const auto classes = values_of<std::int64_t>(outputs_[1]);
    if (classes.size() > limits::kTopkMax || classes.size() != scores.size()) return;
    std::vector<Json> rows;
    for (std::size_t i = 0; i < classes.size(); ++i) {
      if (i % k == 0) rows.push_back(Json::array());
      if (classes[i] < 0) continue;
      Json entry{{"class", classes[i]}, {"score", number(scores[i])}};
      add_label(entry, classes[i]);
      rows.back().push_back(std::move(entry));
    }
    set_rows(std::move(rows));
  }

  void argmax() {
    const auto classes = values_of<std::int64_t>(outputs_[0]);
    if (classes.size() > limits::kTopkMax) return;
    std::vector<Json> rows;
    for (const std::int64_t one : classes) {
      rows.push_back(Json::array());
      if (one < 0) continue;
      Json entry{{"class", one}};
      add_label(entry, one);
      rows.back().push_back(std::move(entry));
    }
    set_rows(std::move(rows));
  }

  const LoadedModel& loaded_;
  const std::vector<Tensor>& outputs_;
  const std::optional<SeenPicture>& picture_;
  Json json_ = Json::object();
};

}  // namespace

std::optional<SeenPicture> seen_picture(const LoadedModel& loaded, const std::vector<Tensor>& inputs) {
  const auto picture = picture_tensor(loaded.chain);
  if (!picture || *picture >= inputs.size()) return std::nullopt;
  const std::span<const std::byte> file = inputs[*picture].data.span();
  const InputSection& section = *loaded.chain.input;
  const auto info = image_info(file);
  const auto orientation = section.orientation == Orientation::kExif ? exif_orientation(file) : Result<int>(1);
  if (!info || !orientation) return std::nullopt;
  const bool turned = *orientation >= 5;
  const std::uint32_t width = turned ? info->height : info->width;
  const std::uint32_t height = turned ? info->width : info->height;
  return SeenPicture{width, height, picture_frame(section, width, height)};
}

std::optional<std::string> answer_json(const LoadedModel& loaded, const std::vector<Tensor>& outputs,
                                       const std::optional<SeenPicture>& picture) {
  const std::size_t expected =
      !loaded.chain.output_steps.empty() && loaded.chain.output_steps.back().kind == OutputKind::kTopk ? 2 : 1;
  if (outputs.size() != expected) return std::nullopt;
  return Writer(loaded, outputs, picture).write();
}

}  // namespace tideline
