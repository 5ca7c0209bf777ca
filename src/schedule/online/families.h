// The makers of every family of online policies; what online_policies.cpp lists. Internal to online/.
#pragma once

#include "schedule/online/online_policy.h"

namespace tideline::schedule {

using MadePolicy = Result<std::unique_ptr<OnlinePolicy>>;

MadePolicy make_li2018_online(const OnlineRequest& request);  // threshold.cpp
MadePolicy make_li2018_theta(const OnlineRequest& request);
MadePolicy make_zcl(const OnlineRequest& request);
MadePolicy make_first_fit(const OnlineRequest& request);  // first_fit.cpp
MadePolicy make_balanced(const OnlineRequest& request);
MadePolicy make_fifo_until(const OnlineRequest& request);  // evicting.cpp
MadePolicy make_fifo_relevant(const OnlineRequest& request);
MadePolicy make_lbf_until(const OnlineRequest& request);
MadePolicy make_lbf_nw(const OnlineRequest& request);
MadePolicy make_lbf_relevant(const OnlineRequest& request);
MadePolicy make_price_history(const OnlineRequest& request);  // price_online.cpp
MadePolicy make_price_relearn(const OnlineRequest& request);
MadePolicy make_price_swap(const OnlineRequest& request);
MadePolicy make_price_recut(const OnlineRequest& request);
MadePolicy make_auto(const OnlineRequest& request);  // auto.cpp

}  // namespace tideline::schedule
