//! Worker processes: started, spoken to, watched, replaced.
