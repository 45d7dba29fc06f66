// SPDX-License-Identifier: Apache-2.0
// World plugin for Gazebo Classic 11: steps, servos, images and true poses over one Unix socket.
//
// The world stays paused. A client asks, the plugin answers; so the client's clock is the world's.
// A frame is a uint32 length and that many bytes, all little-endian. Questions (first byte):
//   Z                               everything back to where the world file has it   -> state
//   P double[servos]                put the joints there, at rest            -> state
//   S uint32 steps double[servos]   servo towards these positions and step   -> state
//   R                               what the camera sees now -> uint32 w, h, rgb8, float depth
//   C uint32 n, n bytes name, float[3]   colour of a visual               -> nothing, 0 bytes
// A state is: double time, (position, velocity)[servos], (xyz, wxyz, linear velocity)[bodies].
// The other end of it is mu0_core/gazebo/classic/connection.py.

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gazebo/gazebo.hh>
#include <gazebo/msgs/msgs.hh>
#include <gazebo/physics/physics.hh>
#include <gazebo/rendering/DepthCamera.hh>
#include <gazebo/sensors/CameraSensor.hh>
#include <gazebo/sensors/DepthCameraSensor.hh>
#include <gazebo/sensors/SensorManager.hh>
#include <gazebo/transport/transport.hh>

namespace {

constexpr double kLeastForce = 2.0;  // N or N m, of a servo that has arrived
constexpr auto kImageTimeout = std::chrono::seconds(20);

struct Servo {
  gazebo::physics::JointPtr joint;
  double gain, force, squeeze, target;
};

class Bridge : public gazebo::WorldPlugin {
 public:
  ~Bridge() override {
    if (socket_ >= 0) shutdown(socket_, SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
  }

  void Load(gazebo::physics::WorldPtr world, sdf::ElementPtr sdf) override {
    world_ = world;
    sdf_ = sdf;
    update_ = gazebo::event::Events::ConnectWorldUpdateBegin(
        [this](const gazebo::common::UpdateInfo &) { OnUpdate(); });
    node_.reset(new gazebo::transport::Node());
    node_->Init(world->Name());
    visuals_ = node_->Advertise<gazebo::msgs::Visual>("~/visual");
    thread_ = std::thread([this] { Serve(); });
  }

 private:
  void Serve() {
    const char *path = std::getenv("MU0_BRIDGE_SOCKET");
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path ? path : "", sizeof(address.sun_path) - 1);
    socket_ = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(socket_, reinterpret_cast<sockaddr *>(&address), sizeof(address)) != 0) {
      gzerr << "mu0 bridge: nobody listens on MU0_BRIDGE_SOCKET " << address.sun_path << "\n";
      return;
    }
    Find();
    std::vector<char> frame;
    while (Receive(frame)) {
      if (!Answer(frame)) {
        gzerr << "mu0 bridge: cannot answer '" << frame[0] << "'; the link is closed\n";
        break;
      }
    }
    shutdown(socket_, SHUT_RDWR);
  }

  // Models are there when world plugins are loaded; sensors come later.
  void Find() {
    auto arm = world_->ModelByName(sdf_->Get<std::string>("model"));
    for (auto e = sdf_->GetElement("servo"); e; e = e->GetNextElement("servo")) {
      auto joint = arm->GetJoint(e->Get<std::string>("joint"));
      servos_.push_back({joint, e->Get<double>("gain"), e->Get<double>("force"),
                         e->Get<double>("squeeze"), joint->Position(0)});
    }
    for (auto e = sdf_->GetElement("body"); e; e = e->GetNextElement("body")) {
      auto entity = world_->EntityByName(e->Get<std::string>());
      bodies_.push_back(boost::dynamic_pointer_cast<gazebo::physics::Link>(entity));
    }
  }

  bool Answer(const std::vector<char> &frame) {
    const char *data = frame.data() + 1;
    const size_t size = frame.size() - 1, targets = servos_.size() * sizeof(double);
    switch (frame[0]) {
      case 'Z':
        reset_ = true;
        world_->Step(1);
        return SendState();
      case 'P':
        if (size != targets) return false;
        TakeTargets(data);
        place_ = true;
        world_->Step(1);
        return SendState();
      case 'S': {
        uint32_t steps;
        if (size != sizeof(steps) + targets) return false;
        std::memcpy(&steps, data, sizeof(steps));
        TakeTargets(data + sizeof(steps));
        world_->Step(steps);
        return SendState();
      }
      case 'R':
        return SendImages();
      case 'C':
        return Paint(data, size);
      default:
        return false;
    }
  }

  void TakeTargets(const char *data) {
    for (auto &servo : servos_) {
      std::memcpy(&servo.target, data, sizeof(double));
      data += sizeof(double);
    }
  }

  // Runs in the physics thread, before each step; Serve waits in Step meanwhile.
  void OnUpdate() {
    if (reset_) {
      for (auto &model : world_->Models()) model->Reset();
      for (auto &servo : servos_) servo.target = servo.joint->Position(0);
      reset_ = false;
    }
    if (place_) {
      for (auto &servo : servos_) servo.joint->SetPosition(0, servo.target);
      place_ = false;
    }
    for (auto &servo : servos_) {
      const double error = servo.target - servo.joint->Position(0);
      double force = servo.force;
      if (servo.squeeze > 0)
        force = std::min(force, kLeastForce + servo.squeeze * std::abs(error));
      servo.joint->SetParam("fmax", 0, force);
      servo.joint->SetParam("vel", 0, servo.gain * error);
    }
  }

  bool SendState() {
    std::vector<double> state{world_->SimTime().Double()};
    for (auto &servo : servos_) {
      state.push_back(servo.joint->Position(0));
      state.push_back(servo.joint->GetVelocity(0));
    }
    for (auto &body : bodies_) {
      const auto pose = body->WorldPose();
      const auto velocity = body->WorldLinearVel();
      const auto &p = pose.Pos();
      const auto &q = pose.Rot();
      state.insert(state.end(), {p.X(), p.Y(), p.Z(), q.W(), q.X(), q.Y(), q.Z(),
                                 velocity.X(), velocity.Y(), velocity.Z()});
    }
    return Send({{state.data(), state.size() * sizeof(double)}});
  }

  bool FindCameras() {
    using namespace gazebo::sensors;
    auto manager = SensorManager::Instance();
    colour_ = std::dynamic_pointer_cast<CameraSensor>(
        manager->GetSensor(sdf_->Get<std::string>("colour_sensor")));
    depth_ = std::dynamic_pointer_cast<DepthCameraSensor>(
        manager->GetSensor(sdf_->Get<std::string>("depth_sensor")));
    if (!colour_ || !colour_->Camera() || !depth_ || !depth_->DepthCamera()) return false;
    on_colour_ = colour_->Camera()->ConnectNewImageFrame(
        [this](const unsigned char *image, unsigned w, unsigned h, unsigned, const std::string &) {
          Keep(rgb_, image, w, h, 3);
        });
    on_depth_ = depth_->DepthCamera()->ConnectNewDepthFrame(
        [this](const float *image, unsigned w, unsigned h, unsigned, const std::string &) {
          Keep(metres_, image, w, h, 1);
        });
    return true;
  }

  bool SendImages() {
    const auto end = std::chrono::steady_clock::now() + kImageTimeout;
    while (!on_depth_ && !FindCameras()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    std::unique_lock<std::mutex> lock(mutex_);
    rgb_.clear();
    metres_.clear();
    wanted_ = true;
    colour_->SetActive(true);
    depth_->SetActive(true);
    const bool came =
        seen_.wait_until(lock, end, [this] { return !rgb_.empty() && !metres_.empty(); });
    wanted_ = false;
    colour_->SetActive(false);
    depth_->SetActive(false);
    if (!came) return false;
    return Send({{size_, sizeof(size_)},
                 {rgb_.data(), rgb_.size()},
                 {metres_.data(), metres_.size() * sizeof(float)}});
  }

  // Runs in the rendering thread.
  template <typename T>
  void Keep(std::vector<T> &into, const T *image, unsigned w, unsigned h, unsigned channels) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!wanted_ || !into.empty()) return;
    into.assign(image, image + static_cast<size_t>(w) * h * channels);
    size_[0] = w;
    size_[1] = h;
    seen_.notify_one();
  }

  bool Paint(const char *data, size_t size) {
    uint32_t length;
    float rgb[3];
    if (size < sizeof(length)) return false;
    std::memcpy(&length, data, sizeof(length));
    if (size != sizeof(length) + length + sizeof(rgb)) return false;
    const std::string name(data + sizeof(length), length);
    std::memcpy(rgb, data + sizeof(length) + length, sizeof(rgb));
    gazebo::msgs::Visual message;
    message.set_name(name);
    message.set_parent_name(name.substr(0, name.rfind("::")));
    const ignition::math::Color colour(rgb[0], rgb[1], rgb[2]);
    gazebo::msgs::Set(message.mutable_material()->mutable_ambient(), colour);
    gazebo::msgs::Set(message.mutable_material()->mutable_diffuse(), colour);
    visuals_->Publish(message, true);
    return Send({});
  }

  bool Send(const std::vector<std::pair<const void *, size_t>> &parts) {
    uint32_t total = 0;
    for (const auto &part : parts) total += part.second;
    bool sent = SendAll(&total, sizeof(total));
    for (const auto &part : parts) sent = sent && SendAll(part.first, part.second);
    return sent;
  }

  bool SendAll(const void *data, size_t size) {
    for (auto at = static_cast<const char *>(data); size > 0;) {
      const ssize_t sent = send(socket_, at, size, MSG_NOSIGNAL);
      if (sent <= 0) return false;
      at += sent;
      size -= sent;
    }
    return true;
  }

  bool Receive(std::vector<char> &frame) {
    uint32_t length;
    if (recv(socket_, &length, sizeof(length), MSG_WAITALL) != sizeof(length)) return false;
    if (length == 0 || length > 65536) return false;
    frame.resize(length);
    return recv(socket_, frame.data(), length, MSG_WAITALL) == static_cast<ssize_t>(length);
  }

  gazebo::physics::WorldPtr world_;
  sdf::ElementPtr sdf_;
  gazebo::event::ConnectionPtr update_, on_colour_, on_depth_;
  gazebo::transport::NodePtr node_;
  gazebo::transport::PublisherPtr visuals_;
  gazebo::sensors::CameraSensorPtr colour_;
  gazebo::sensors::DepthCameraSensorPtr depth_;
  std::vector<Servo> servos_;
  std::vector<gazebo::physics::LinkPtr> bodies_;
  bool place_ = false, reset_ = false;
  std::mutex mutex_;  // guards what the rendering thread writes
  std::condition_variable seen_;
  bool wanted_ = false;
  std::vector<unsigned char> rgb_;
  std::vector<float> metres_;
  uint32_t size_[2] = {0, 0};
  int socket_ = -1;
  std::thread thread_;
};

}  // namespace

namespace gazebo {
GZ_REGISTER_WORLD_PLUGIN(Bridge)
}
