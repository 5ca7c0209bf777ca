// Goal: a job says where its workers are and what makes samples of pictures, and slips in it are refused with what to write.
// Method: one job each; the round trip of its canonical form.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "platform/files.h"
#include "platform/temp_folder.h"
#include "train/job/job.h"

namespace tideline::train {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string job_text(std::string_view data, std::string_view workers = "2") {
  return fmt::format(
      "version: 1\nmodel: m.onnx\ndata: {{{}}}\nworkers: {}\nstrategy: {{name: sync-sgd}}\n"
      "optimiser: {{name: sgd, rate: 0.1}}\nrounds: 3\n",
      data, workers);
}
std::string why_not(const std::string& yaml) {
  const auto job = parse_job(yaml, "job.yaml");
  return job ? "accepted" : job.error().message;
}

TEST(JobNodes, WorkersMayBeNodes) {
  const auto job = parse_job(job_text("train: npy:d", "[gw1, camera.2]"), "job.yaml");
  ASSERT_TRUE(job) << job.error().message;
  EXPECT_THAT(job->nodes, ElementsAre("gw1", "camera.2"));
  EXPECT_EQ(job->workers, 2U);
  EXPECT_EQ(job->divide.workers, 2U);
  EXPECT_TRUE(has_own_data(*job));
  EXPECT_EQ(data_of_worker(*job, 1), "npy:d");
  EXPECT_EQ(*parse_job(write_job(*job), "again"), *job);
  EXPECT_FALSE(has_own_data(*parse_job(job_text("train: npy:d"), "job.yaml")));
}

TEST(JobNodes, SlipsAreRefused) {
  EXPECT_THAT(why_not(job_text("train: npy:d", "[]")), HasSubstr("1 to 1000 names of nodes"));
  EXPECT_THAT(why_not(job_text("train: npy:d", "[gw1, gw1]")), HasSubstr("node 'gw1' is named twice"));
  EXPECT_THAT(why_not(job_text("train: npy:d", "['../gw']")), HasSubstr("is no name of a node"));
  EXPECT_THAT(why_not(job_text("train: npy:d, divide: {rule: iid}", "[gw1, gw2]")), HasSubstr("each node has data of its own"));
  EXPECT_THAT(why_not(job_text("train: npy:d, shared: 0.1", "[gw1, gw2]")), HasSubstr("leave the key out"));
  EXPECT_THAT(why_not(job_text("train: npy:d", "[gw1]") + "aggregation: krum\n"), HasSubstr("krum"));
}

TEST(JobNodes, DataOfWorkersElsewhereAreTheirs) {
  const auto folder = TempFolder::make("tideline-job");
  ASSERT_TRUE(folder);
  const std::string file = folder->path() + "/job.yaml";
  ASSERT_TRUE(write_file_atomic(file, job_text("train: npy:site, test: npy:held")));
  const auto here = load_job(file), there = load_job(file, WorkersAre::kOnNodes);
  ASSERT_TRUE(here && there);
  EXPECT_EQ(here->train_data, "npy:" + folder->path() + "/site");
  EXPECT_EQ(there->train_data, "npy:site");
  EXPECT_EQ(there->test_data, here->test_data);
}

TEST(JobPictures, TheInputSectionSaysWhatPicturesBecome) {
  const auto job = parse_job(
      job_text("train: images:p, test: images:q, input: {size: [8, 8], channels: grey, mean: [0.5], std: [0.25]}"), "job.yaml");
  ASSERT_TRUE(job) << job.error().message;
  ASSERT_TRUE(job->input);
  EXPECT_EQ(job->input->width, 8U);
  EXPECT_EQ(job->input->channels, ChannelOrder::kGrey);
  const auto again = parse_job(write_job(*job), "again");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->input, job->input);
  EXPECT_EQ(*again, *job);
  const auto folder = TempFolder::make("tideline-job");
  const std::string file = folder->path() + "/job.yaml";
  ASSERT_TRUE(write_file_atomic(file, job_text("train: images:p, input: {size: [8, 8]}")));
  EXPECT_EQ(load_job(file)->train_data, "images:" + folder->path() + "/p");
}

TEST(JobEpochs, EitherRoundsOrEpochs) {
  std::string text = job_text("train: npy:d");
  text.replace(text.find("rounds: 3"), 9, "epochs: 4");
  const auto job = parse_job(text, "job.yaml");
  ASSERT_TRUE(job) << job.error().message;
  EXPECT_EQ(job->epochs, 4U);
  EXPECT_EQ(job->rounds, 0U);
  EXPECT_EQ(*parse_job(write_job(*job), "again"), *job);
  EXPECT_THAT(why_not(text + "rounds: 3\n"), HasSubstr("write one of them"));
  text.replace(text.find("epochs: 4"), 9, "");
  EXPECT_THAT(why_not(text), HasSubstr("write one of them"));
  EXPECT_THAT(why_not(text + "epochs: 0\n"), HasSubstr("1 to 10000000"));
}

TEST(JobTeacher, IsReadAndRefusedWhereThereIsOne) {
  const std::string text = job_text("train: npy:d") + "teacher: {model: big.onnx, weight: 0.4}\n";
  const auto job = parse_job(text, "job.yaml");
  ASSERT_TRUE(job) << job.error().message;
  EXPECT_EQ(job->teacher, (TeacherSettings{"big.onnx", 4, 0.4}));
  EXPECT_EQ(*parse_job(write_job(*job), "again"), *job);
  EXPECT_THAT(why_not(job_text("train: npy:d") + "teacher: {model: b, weight: 2}\n"), HasSubstr("expected 0 to 1"));
  std::string codistil = text;
  codistil.replace(codistil.find("sync-sgd"), 8, "codistillation");
  EXPECT_THAT(why_not(codistil), HasSubstr("learns from other workers already"));
}

TEST(JobPictures, SlipsAreRefused) {
  EXPECT_THAT(why_not(job_text("train: images:p")), HasSubstr("pictures need to be told their size"));
  EXPECT_THAT(why_not(job_text("train: npy:d, input: {size: [8, 8]}")), HasSubstr("only images: have an input section"));
  EXPECT_THAT(why_not(job_text("train: images:p, test: npy:d, input: {size: [8, 8]}")), HasSubstr("data.test"));
  EXPECT_THAT(why_not(job_text("train: images:p, mean: 0.5, input: {size: [8, 8]}")), HasSubstr("the input section has its own"));
  EXPECT_THAT(why_not(job_text("train: images:p, input: {size: [8]}")), HasSubstr("[width, height]"));
}

}  // namespace
}  // namespace tideline::train
