#include "session/run.h"

#include <algorithm>

#include <fmt/format.h>

#include "platform/files.h"
#include "session/verdict.h"
#include "tensor/npy.h"

namespace tideline {
namespace {

struct Request {
  std::vector<Tensor> inputs;
  std::vector<Tensor> reference;  // the unsplit model's outputs; filled when verifying
};

std::vector<TensorView> views_of(const std::vector<Tensor>& tensors) {
  std::vector<TensorView> views;
  for (const Tensor& tensor : tensors) views.push_back(view(tensor));
  return views;
}

Result<std::vector<Request>> read_requests(const std::string& input, const LoadedModel& loaded) {
  std::vector<Request> requests;
  std::vector<std::string> files{""};
  if (!input.empty()) {
    TIDELINE_TRY(files, input_files(loaded, input));
  }
  for (const std::string& file : files) {
    Request request;
    if (file.empty()) {
      for (const Tensor& tensor : loaded.sample) request.inputs.push_back({tensor.spec, Buffer::copy_of(tensor.data.span())});
    } else {
      TIDELINE_TRY(request.inputs, read_input(loaded, file));
    }
    requests.push_back(std::move(request));
  }
  return requests;
}

void verify(const Request& request, const RunAnswer& answer, Verification& verification) {
  if (request.reference.size() != answer.outputs.size()) return verification.add_unlike();
  for (std::size_t i = 0; i < request.reference.size(); ++i) verification.add(request.reference[i], answer.outputs[i]);
  if (verification.difference.is_within_tolerance || !verification.culprit.empty()) return;
  for (const Tensor& input : request.inputs) verification.culprit.push_back({input.spec, Buffer::copy_of(input.data.span())});
}

Status save_outputs(const std::string& folder, const RunAnswer& answer) {
  TIDELINE_CHECK_OK(make_folders(folder));
  for (std::size_t i = 0; i < answer.outputs.size(); ++i) {
    TIDELINE_TRY(const std::string bytes, write_npy(view(answer.outputs[i])));
    TIDELINE_CHECK_OK(write_file_atomic(fmt::format("{}/output{}.npy", folder, i), bytes));
  }
  return {};
}

}  // namespace

Result<RunReport> run_requests(const RunSettings& settings, const std::string& input, const LoadedModel& loaded,
                               const Cluster& cluster, Transport& transport, const ChosenPlan& chosen, const Control& control) {
  RunReport report;
  report.planner = chosen.plan.planner;
  report.predicted = chosen.estimate;
  if (settings.timeout.count() <= 0) return Error{ErrorCode::kInvalidArgument, "--timeout must be above 0"};
  TIDELINE_TRY(std::vector<Request> requests, read_requests(input, loaded));
  report.verification.narrowest = narrowest_float(loaded.model.graph());
  if (settings.verify) {
    TIDELINE_TRY(Unsplit unsplit, Unsplit::load(loaded));
    for (Request& request : requests) {
      TIDELINE_TRY(request.reference, unsplit.run(request.inputs, control.cancel));
    }
  }

  ClusterClient client(transport, cluster);
  TIDELINE_TRY(
      report.deployed,
      client.deploy(
          loaded.model, loaded.chain, chosen.plan, control.cancel, [&](const std::string& node, Bytes done, Bytes total) {
            control.report({"Pushing segments", static_cast<std::size_t>(100 * done / std::max<Bytes>(1, total)), 100, node});
          }));
  RunRequest options;
  options.timeout = std::chrono::duration_cast<Nanos>(settings.timeout);
  options.cancel = control.cancel;
  const std::uint32_t total = settings.warmup + settings.requests;
  for (std::uint32_t i = 0; i < total; ++i) {
    TIDELINE_CHECK_OK(control.check());
    Request& request = requests[i % requests.size()];
    TIDELINE_TRY(RunAnswer answer, client.run(views_of(request.inputs), options));
    if (settings.verify) verify(request, answer, report.verification);
    if (i + 1 == total && !settings.save_output.empty()) TIDELINE_CHECK_OK(save_outputs(settings.save_output, answer));
    if (i < settings.warmup) continue;
    answer.outputs.clear();
    report.answers.push_back(std::move(answer));
    control.report({"Running", i + 1 - settings.warmup, settings.requests, ""});
  }
  TIDELINE_CHECK_OK(find_cause(loaded, control.cancel, report.verification));
  report.made_up_inputs = loaded.made_up_inputs;
  return report;
}

}  // namespace tideline
