"""A script as stable-baselines3's guide has it: PPO, `CheckpointCallback`, `--resume`."""

import argparse
import os
import time

import gymnasium
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import CheckpointCallback

parser = argparse.ArgumentParser()
parser.add_argument("--resume")
parser.add_argument("--timesteps", type=int, default=1920)
args = parser.parse_args()


class Slow(gymnasium.Wrapper):
    """CartPole, as slow as a real world."""

    def step(self, action):
        """One step of the world."""
        time.sleep(float(os.environ.get("STEP_S", "0")))
        return super().step(action)


world = Slow(gymnasium.make("CartPole-v1"))
saves = CheckpointCallback(save_freq=96, save_path="models", name_prefix="rl_model")
told = {"n_steps": 48, "batch_size": 24, "n_epochs": 2, "seed": 0, "device": "cpu", "verbose": 1}
if args.resume:
    agent = PPO.load(args.resume, env=world, device="cpu")
    left = args.timesteps - agent.num_timesteps
    agent.learn(left, callback=saves, reset_num_timesteps=False)
else:
    agent = PPO("MlpPolicy", world, policy_kwargs={"net_arch": [16]}, **told)
    agent.learn(args.timesteps, callback=saves)
agent.save("ppo_final")
