"""How well networks learn in federated rounds: figure 48 of 'Privacy Attack in Federated Learning is Not Easy'."""
