"""The fault suite: real processes are killed, stopped, starved and lied to, and three ledgers compared."""
