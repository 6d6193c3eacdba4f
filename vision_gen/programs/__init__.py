"""What `vision-gen train` and `vision-gen eval` do, and train.py and eval.py in a clone."""
