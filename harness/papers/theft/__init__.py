"""What a client with a GAN steals: pictures beside their judge, and beside what they are worth by chance."""
